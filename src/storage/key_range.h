// A key range as requests give it: [key, end), end "" = the single key, end "\0" = from key up.
#pragma once

#include <string>
#include <string_view>

namespace orch::storage {

struct KeyRange {
  std::string_view begin;
  std::string_view end;

  bool single() const { return end.empty(); }
  bool unbounded() const { return end.size() == 1 && end[0] == '\0'; }
  // False for keys at or past the range's end; `key` must not be before begin.
  bool before_end(std::string_view key) const {
    if (single()) return key == begin;
    return unbounded() || key < end;
  }
  bool contains(std::string_view key) const { return key >= begin && before_end(key); }
  // Whether some key with this prefix may lie in the range.
  bool overlaps_prefix(std::string_view prefix) const {
    if (single()) return begin.starts_with(prefix);
    const bool ends_before = !unbounded() && end <= prefix;
    const bool begins_after = begin > prefix && !begin.starts_with(prefix);
    return !ends_before && !begins_after;
  }
};

}  // namespace orch::storage
