// A set of completion indexes as a Job's status shows it: "1,3-5,7". Value; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace orch::server {

class IndexSet {
 public:
  // What is no index below `completions` is left out; a text that is no list ends where it breaks.
  static IndexSet parse(std::string_view text, int32_t completions);
  bool has(int32_t index) const;
  void add(int32_t index);
  void add(const IndexSet& other);
  int32_t total() const;
  int32_t common_with(const IndexSet& other) const;
  bool empty() const { return ranges_.empty(); }
  std::string str() const;
  // The smallest indexes below `completions` that are not in the set, at most `count`.
  std::vector<int32_t> missing(int32_t count, int32_t completions) const;
  bool operator==(const IndexSet&) const = default;

 private:
  void add_range(int32_t first, int32_t last);
  // First and last of each run: ascending, neither overlapping nor touching.
  std::vector<std::pair<int32_t, int32_t>> ranges_;
};

}  // namespace orch::server
