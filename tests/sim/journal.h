// What happened in a run: a hash over everything, and the tail of it for people.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "orch/base/clock.h"

namespace orch::sim {

class Journal {
 public:
  Journal(const Clock& clock, bool echo) : clock_(clock), echo_(echo) {}

  // `more` counts for the hash only.
  void add(std::string_view line, std::string_view more = "") {
    const auto at = clock_.mono().time_since_epoch().count();
    std::string entry = fmt::format("{:>6}.{:06} {}", at / 1'000'000, at % 1'000'000, line);
    mix(entry);
    mix(more);
    ++entries_;
    if (echo_) fmt::print("{}\n", entry);
    tail_.push_back(std::move(entry));
    if (tail_.size() > kTail) tail_.pop_front();
  }
  uint64_t hash() const { return hash_; }
  uint64_t entries() const { return entries_; }
  const std::deque<std::string>& tail() const { return tail_; }

 private:
  static constexpr size_t kTail = 60;
  // FNV-1a.
  void mix(std::string_view text) {
    for (const char c : text) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    hash_ = (hash_ ^ 0xff) * 0x100000001b3ULL;
  }
  const Clock& clock_;
  const bool echo_;
  uint64_t hash_ = 0xcbf29ce484222325ULL;
  uint64_t entries_ = 0;
  std::deque<std::string> tail_;
};

}  // namespace orch::sim
