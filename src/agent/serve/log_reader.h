// Reads and follows a container's CRI log file ("<RFC3339Nano> stdout F text"). Pure parsing plus
// plain file reads; used by one thread each.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "orch/base/clock.h"
#include "orch/base/result.h"

namespace orch::agent {

struct LogOptions {
  int64_t tail_lines = -1;   // -1 = all
  int64_t limit_bytes = -1;  // -1 = none
  bool timestamps = false;
  std::optional<WallTime> since;
};

struct LogLine {
  std::string_view time, stream, text;
  bool partial = false;  // the runtime cut a long line here: the next entry goes on
};
// One line without its newline. nullopt: not of the CRI form.
std::optional<LogLine> parse_log_line(std::string_view line);

// Turns the file's bytes, fed in pieces, into what `kubectl logs` shows.
class LogFormatter {
 public:
  explicit LogFormatter(const LogOptions& options) : options_(options) {}
  // Appends to `out`. False once limit_bytes is reached.
  bool feed(std::string_view bytes, std::string& out);

 private:
  bool emit(std::string_view line, std::string& out);
  LogOptions options_;
  std::string rest_;  // of the last, unfinished line
  int64_t written_ = 0;
  bool middle_of_line_ = false;
};

// Where the last `lines` lines of the file begin.
Result<int64_t, std::string> tail_offset(int fd, int64_t lines);

}  // namespace orch::agent
