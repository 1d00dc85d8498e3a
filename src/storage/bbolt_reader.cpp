#include <fmt/format.h>

#include <cstring>

#include "storage/bbolt.h"
#include "storage/bbolt_format.h"

namespace orch::storage::bbolt {
namespace {

constexpr size_t kMeta = 64, kBucketHeader = 16;
constexpr int kDepthMax = 32;

template <class T>
T load(std::string_view bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

struct Meta {
  uint32_t page_bytes;
  uint64_t root, transaction;
};

std::optional<Meta> meta_at(std::string_view file, size_t at) {
  if (file.size() < at + kHeader + kMeta) return std::nullopt;
  const auto meta = file.substr(at + kHeader, kMeta);
  if (load<uint32_t>(meta, 0) != kMagic || load<uint32_t>(meta, 4) != kVersion) return std::nullopt;
  if (load<uint64_t>(meta, 56) != fnv64a(meta.substr(0, 56))) return std::nullopt;
  return Meta{load<uint32_t>(meta, 8), load<uint64_t>(meta, 16), load<uint64_t>(meta, 48)};
}

bool sound_page_size(uint32_t bytes) {
  return bytes >= 512 && bytes <= 65536 && (bytes & (bytes - 1)) == 0;
}

}  // namespace

Result<Reader, std::string> Reader::open(std::string_view file) {
  // The second meta lies at the page size, which the first one tells, if it is whole.
  auto newest = meta_at(file, 0);
  for (size_t bytes = 512; bytes <= 65536; bytes *= 2) {
    auto second = meta_at(file, bytes);
    if (!second || second->page_bytes != bytes) continue;
    if (!newest || second->transaction > newest->transaction) newest = second;
  }
  if (!newest || !sound_page_size(newest->page_bytes)) {
    return Err(std::string("not a database of etcd's (bbolt), or its first pages are damaged"));
  }
  Reader reader;
  reader.file_ = file;
  reader.page_bytes_ = newest->page_bytes;
  reader.root_ = newest->root;
  std::string header(kBucketHeader, '\0');
  std::memcpy(header.data(), &newest->root, sizeof newest->root);
  auto roots = reader.walk_bucket(header, [&](const Element& element) {
    if (element.bucket) reader.roots_.emplace_back(element.key, element.value);
    return true;
  });
  if (!roots) return Err(roots.error());
  return reader;
}

std::vector<std::string> Reader::buckets() const {
  std::vector<std::string> names;
  for (const auto& [name, header] : roots_) names.push_back(name);
  return names;
}

Result<Unit, std::string> Reader::each(std::string_view bucket, const Visit& visit) const {
  for (const auto& [name, header] : roots_) {
    if (name != bucket) continue;
    bool nested = false;
    auto walked = walk_bucket(header, [&](const Element& element) {
      nested |= element.bucket;
      return !nested && visit(element.key, element.value);
    });
    if (nested) return Err(fmt::format("bucket {} has buckets in it", bucket));
    return walked;
  }
  return Unit{};
}

Result<Unit, std::string> Reader::walk_bucket(std::string_view header, const OnElement& on) const {
  if (header.size() < kBucketHeader) return Err(std::string("a bucket without its header"));
  // Every page at most once, whatever the tree says.
  size_t budget = file_.size() / page_bytes_ + 1;
  const auto root = load<uint64_t>(header, 0);
  if (root == 0) {
    auto walked = walk(header.substr(kBucketHeader), 0, budget, on);
    if (!walked) return Err(walked.error());
    return Unit{};
  }
  ORCH_TRY(const std::string_view top, page(root));
  auto walked = walk(top, 0, budget, on);
  if (!walked) return Err(walked.error());
  return Unit{};
}

Result<std::string_view, std::string> Reader::page(uint64_t id) const {
  const size_t pages = file_.size() / page_bytes_;
  if (id < 2 || id >= pages) return Err(fmt::format("page {} lies outside of the file", id));
  const auto rest = file_.substr(id * page_bytes_);
  const uint64_t length = load<uint32_t>(rest, 12) + uint64_t{1};
  if (load<uint64_t>(rest, 0) != id || length > pages - id) {
    return Err(fmt::format("page {} is damaged", id));
  }
  return rest.substr(0, length * page_bytes_);
}

// False: on_element() had enough.
Result<bool, std::string> Reader::walk(std::string_view page, int depth, size_t& budget,
                                       const OnElement& on_element) const {
  if (page.size() < kHeader || depth > kDepthMax || budget == 0) {
    return Err(std::string("the tree of pages is damaged"));
  }
  --budget;
  const auto flags = load<uint16_t>(page, 8);
  const auto count = load<uint16_t>(page, 10);
  if ((flags != kBranchFlag && flags != kLeafFlag) || kHeader + count * kElement > page.size()) {
    return Err(fmt::format("page {} is damaged", load<uint64_t>(page, 0)));
  }
  for (size_t i = 0; i < count; ++i) {
    const size_t at = kHeader + i * kElement;
    if (flags == kBranchFlag) {
      ORCH_TRY(const std::string_view child, this->page(load<uint64_t>(page, at + 8)));
      ORCH_TRY(const bool more, walk(child, depth + 1, budget, on_element));
      if (!more) return false;
      continue;
    }
    const uint64_t key_at = at + uint64_t{load<uint32_t>(page, at + 4)};
    const uint64_t key_bytes = load<uint32_t>(page, at + 8);
    const uint64_t value_bytes = load<uint32_t>(page, at + 12);
    if (key_at + key_bytes + value_bytes > page.size()) {
      return Err(fmt::format("page {} is damaged", load<uint64_t>(page, 0)));
    }
    const Element element{(load<uint32_t>(page, at) & kBucketElement) != 0,
                          page.substr(key_at, key_bytes),
                          page.substr(key_at + key_bytes, value_bytes)};
    if (!on_element(element)) return false;
  }
  return true;
}

}  // namespace orch::storage::bbolt
