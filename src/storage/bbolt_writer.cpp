#include <algorithm>

#include "storage/bbolt.h"
#include "storage/bbolt_format.h"

namespace orch::storage::bbolt {
namespace {

constexpr size_t kPortion = 64 * 1024;

template <class T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void append_header(std::string& out, uint64_t id, uint16_t flags, size_t count, uint64_t pages) {
  append(out, id);
  append(out, flags);
  append(out, static_cast<uint16_t>(count));
  append(out, static_cast<uint32_t>(pages - 1));
}

uint64_t pages_for(size_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes; }

std::string meta_page(uint64_t id, uint64_t root, uint64_t pages) {
  std::string page;
  append_header(page, id, kMetaFlag, 0, 1);
  std::string meta;
  append(meta, kMagic);
  append(meta, kVersion);
  append(meta, static_cast<uint32_t>(kPageBytes));
  append(meta, uint32_t{0});  // flags
  append(meta, root);
  append(meta, uint64_t{0});  // sequence
  append(meta, uint64_t{2});  // free list
  append(meta, pages);
  append(meta, id);  // transaction: the second page is the newer one
  append(meta, fnv64a(meta));
  page += meta;
  page.resize(kPageBytes, '\0');
  return page;
}

// Items of one leaf into a page (with overflow).
void append_leaf(std::string& out, uint64_t id, uint64_t pages, uint32_t flags,
                 const std::vector<std::pair<std::string, std::string>>& items) {
  const size_t begin = out.size();
  append_header(out, id, kLeafFlag, items.size(), pages);
  size_t data = kElement * items.size();  // from the element to its key
  for (const auto& [key, value] : items) {
    append(out, flags);
    append(out, static_cast<uint32_t>(data));
    append(out, static_cast<uint32_t>(key.size()));
    append(out, static_cast<uint32_t>(value.size()));
    data += key.size() + value.size() - kElement;
  }
  for (const auto& [key, value] : items) {
    out += key;
    out += value;
  }
  out.resize(begin + pages * kPageBytes, '\0');
}

// Hands out portions of at most kPortion.
bool drain(std::string& out, bool all, const std::function<bool(std::string_view)>& sink) {
  size_t at = 0;
  while (out.size() - at >= kPortion || (all && at < out.size())) {
    const auto portion = std::string_view(out).substr(at, kPortion);
    if (!sink(portion)) return false;
    at += portion.size();
  }
  out.erase(0, at);
  return true;
}

}  // namespace

Writer::Writer(std::vector<Bucket> buckets) : buckets_(std::move(buckets)) {
  std::sort(buckets_.begin(), buckets_.end(),
            [](const Bucket& a, const Bucket& b) { return a.name < b.name; });
  pages_ = 3;  // two metas and the free list
  trees_.resize(buckets_.size());
  for (size_t i = 0; i < buckets_.size(); ++i) plan(buckets_[i], trees_[i]);
  root_page_ = pages_++;
}

void Writer::plan(const Bucket& bucket, Tree& tree) {
  Leaf leaf;
  size_t used = kHeader;
  const auto close = [&] {
    leaf.pages = pages_for(used);
    leaf.page = pages_;
    pages_ += leaf.pages;
    tree.leaves.push_back(leaf);
    leaf = {leaf.first + leaf.count, 0};
    used = kHeader;
  };
  for (size_t i = 0; i < bucket.count; ++i) {
    const auto [key, value] = bucket.size(i);
    const size_t bytes = kElement + key + value;
    if (leaf.count > 0 && used + bytes > kPageBytes) close();
    used += bytes;
    ++leaf.count;
  }
  close();
  // Keys of one bucket are about alike; a branch page that holds the longest is never too full.
  size_t below = tree.leaves.size();
  const auto first_of = [&](size_t child) {
    size_t at = child;
    for (auto level = tree.levels.rbegin(); level != tree.levels.rend(); ++level) {
      at = (*level)[at].first;
    }
    return tree.leaves[at].first;
  };
  while (below > 1) {
    std::vector<Branch> level;
    Branch branch;
    used = kHeader;
    for (size_t child = 0; child < below; ++child) {
      const size_t bytes = kElement + bucket.size(first_of(child)).first;
      if (branch.count > 1 && used + bytes > kPageBytes) {
        level.push_back(branch);
        branch = {child, 0};
        used = kHeader;
      }
      used += bytes;
      ++branch.count;
    }
    level.push_back(branch);
    for (Branch& b : level) b.page = pages_++;
    below = level.size();
    tree.levels.push_back(std::move(level));
  }
  tree.root = pages_ - (tree.levels.empty() ? tree.leaves.back().pages : 1);
}

bool Writer::write(const std::function<bool(std::string_view)>& sink) const {
  std::string out = meta_page(0, root_page_, pages_) + meta_page(1, root_page_, pages_);
  append_header(out, 2, kFreelistFlag, 0, 1);
  out.resize(3 * kPageBytes, '\0');
  std::vector<std::pair<std::string, std::string>> items;
  for (size_t b = 0; b < buckets_.size(); ++b) {
    const Bucket& bucket = buckets_[b];
    const Tree& tree = trees_[b];
    std::vector<std::pair<std::string, uint64_t>> below;  // first key, page
    for (const Leaf& leaf : tree.leaves) {
      items.clear();
      for (size_t i = leaf.first; i < leaf.first + leaf.count; ++i) {
        auto& [key, value] = items.emplace_back();
        bucket.item(i, key, value);
      }
      append_leaf(out, leaf.page, leaf.pages, 0, items);
      below.emplace_back(items.empty() ? "" : items.front().first, leaf.page);
      if (!drain(out, false, sink)) return false;
    }
    for (const auto& level : tree.levels) {
      std::vector<std::pair<std::string, uint64_t>> here;
      for (const Branch& branch : level) {
        const size_t begin = out.size();
        append_header(out, branch.page, kBranchFlag, branch.count, 1);
        size_t data = kElement * branch.count;
        for (size_t i = branch.first; i < branch.first + branch.count; ++i) {
          append(out, static_cast<uint32_t>(data));
          append(out, static_cast<uint32_t>(below[i].first.size()));
          append(out, below[i].second);
          data += below[i].first.size() - kElement;
        }
        for (size_t i = branch.first; i < branch.first + branch.count; ++i) out += below[i].first;
        out.resize(begin + kPageBytes, '\0');
        here.emplace_back(below[branch.first].first, branch.page);
        if (!drain(out, false, sink)) return false;
      }
      below = std::move(here);
    }
  }
  items.clear();
  for (size_t b = 0; b < buckets_.size(); ++b) {
    std::string header;
    append(header, trees_[b].root);
    append(header, uint64_t{0});
    items.emplace_back(buckets_[b].name, std::move(header));
  }
  append_leaf(out, root_page_, 1, kBucketElement, items);
  return drain(out, true, sink);
}

}  // namespace orch::storage::bbolt
