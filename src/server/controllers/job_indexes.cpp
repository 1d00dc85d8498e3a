#include "server/controllers/job_indexes.h"

#include <algorithm>

#include "orch/base/strings.h"

namespace orch::server {

IndexSet IndexSet::parse(std::string_view text, int32_t completions) {
  IndexSet out;
  for (const auto& part : split(text, ',')) {
    const auto ends = split(part, '-');
    if (ends.empty() || ends.size() > 2) break;
    const auto first = parse_int(ends[0]);
    const auto last = ends.size() == 2 ? parse_int(ends[1]) : first;
    if (!first || !last || *first < 0 || *last < *first || *first >= completions) break;
    out.add_range(static_cast<int32_t>(*first),
                  static_cast<int32_t>(std::min<int64_t>(*last, completions - 1)));
  }
  return out;
}

void IndexSet::add_range(int32_t first, int32_t last) {
  // All runs that overlap or touch the new one melt into it.
  auto from =
      std::lower_bound(ranges_.begin(), ranges_.end(), first,
                       [](const auto& run, int32_t value) { return run.second + 1 < value; });
  auto to = from;
  while (to != ranges_.end() && to->first - 1 <= last) {
    first = std::min(first, to->first);
    last = std::max(last, to->second);
    ++to;
  }
  if (from == to) {
    ranges_.insert(from, {first, last});
  } else {
    *from = {first, last};
    ranges_.erase(from + 1, to);
  }
}

void IndexSet::add(int32_t index) { add_range(index, index); }

void IndexSet::add(const IndexSet& other) {
  for (const auto& [first, last] : other.ranges_) add_range(first, last);
}

bool IndexSet::has(int32_t index) const {
  auto run = std::lower_bound(ranges_.begin(), ranges_.end(), index,
                              [](const auto& r, int32_t value) { return r.second < value; });
  return run != ranges_.end() && run->first <= index;
}

int32_t IndexSet::total() const {
  int32_t sum = 0;
  for (const auto& [first, last] : ranges_) sum += last - first + 1;
  return sum;
}

int32_t IndexSet::common_with(const IndexSet& other) const {
  int32_t sum = 0;
  auto theirs = other.ranges_.begin();
  for (auto mine = ranges_.begin(); mine != ranges_.end() && theirs != other.ranges_.end();) {
    const int32_t first = std::max(mine->first, theirs->first);
    const int32_t last = std::min(mine->second, theirs->second);
    if (first <= last) sum += last - first + 1;
    if (mine->second < theirs->second) {
      ++mine;
    } else {
      ++theirs;
    }
  }
  return sum;
}

std::string IndexSet::str() const {
  std::string out;
  for (const auto& [first, last] : ranges_) {
    if (!out.empty()) out += ',';
    out += std::to_string(first);
    if (last > first) out += (last == first + 1 ? "," : "-") + std::to_string(last);
  }
  return out;
}

std::vector<int32_t> IndexSet::missing(int32_t count, int32_t completions) const {
  std::vector<int32_t> out;
  int32_t next = 0;
  const auto take_until = [&](int32_t end) {
    while (next < end && static_cast<int32_t>(out.size()) < count) out.push_back(next++);
  };
  for (const auto& [first, last] : ranges_) {
    take_until(std::min(first, completions));
    next = last + 1;
  }
  take_until(completions);
  return out;
}

}  // namespace orch::server
