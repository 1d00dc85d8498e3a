// The file format of bbolt (go.etcd.io/bbolt, format 2), as far as etcd's database needs it: a tree
// of pages for each top-level bucket. Integers are little-endian, keys ascend bytewise.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/result.h"

namespace orch::storage::bbolt {

inline constexpr size_t kPageBytes = 4096;

// Sizes of one bucket's items first (plan), then their bytes (emit), in the same order.
class Writer {
 public:
  struct Bucket {
    std::string name;
    size_t count = 0;
    // The sizes of item `i`, which are asked first, and its bytes, which are appended to key and
    // value. Keys ascend.
    std::function<std::pair<size_t, size_t>(size_t i)> size;
    std::function<void(size_t i, std::string& key, std::string& value)> item;
  };
  explicit Writer(std::vector<Bucket> buckets);  // in any order

  int64_t size() const { return static_cast<int64_t>(pages_ * kPageBytes); }
  // The file's bytes in order. False when the sink did.
  bool write(const std::function<bool(std::string_view)>& sink) const;

 private:
  struct Leaf {
    size_t first = 0, count = 0;  // items
    uint64_t page = 0, pages = 1;
  };
  struct Branch {
    size_t first = 0, count = 0;  // children in the level below
    uint64_t page = 0;
  };
  struct Tree {
    std::vector<Leaf> leaves;
    std::vector<std::vector<Branch>> levels;  // above the leaves, the last has one page
    uint64_t root = 0;
  };
  void plan(const Bucket& bucket, Tree& tree);

  std::vector<Bucket> buckets_;
  std::vector<Tree> trees_;
  uint64_t root_page_ = 0;
  uint64_t pages_ = 0;
};

// Reads a file that may be damaged: every offset is checked, and no page is visited twice.
class Reader {
 public:
  // Error: what is wrong with it.
  static Result<Reader, std::string> open(std::string_view file);
  std::vector<std::string> buckets() const;
  // All items of a top-level bucket in order, nothing when there is no such bucket. Nested buckets
  // are an error. visit() returns false to stop; that is no error.
  using Visit = std::function<bool(std::string_view key, std::string_view value)>;
  Result<Unit, std::string> each(std::string_view bucket, const Visit& visit) const;

 private:
  struct Element {
    bool bucket = false;
    std::string_view key, value;
  };
  using OnElement = std::function<bool(const Element&)>;
  Result<std::string_view, std::string> page(uint64_t id) const;
  Result<bool, std::string> walk(std::string_view page, int depth, size_t& budget,
                                 const OnElement& on_element) const;
  Result<Unit, std::string> walk_bucket(std::string_view header, const OnElement& on) const;

  std::string_view file_;
  size_t page_bytes_ = kPageBytes;
  uint64_t root_ = 0;
  std::vector<std::pair<std::string, std::string>> roots_;  // bucket name, its header
};

}  // namespace orch::storage::bbolt
