#include "agent/serve/log_reader.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "orch/api/value.h"

namespace orch::agent {
namespace {

constexpr int64_t kBlock = 64 * 1024;

}  // namespace

std::optional<LogLine> parse_log_line(std::string_view line) {
  const size_t time_end = line.find(' ');
  if (time_end == std::string_view::npos) return std::nullopt;
  const size_t stream_end = line.find(' ', time_end + 1);
  if (stream_end == std::string_view::npos) return std::nullopt;
  const size_t tag_end = std::min(line.find(' ', stream_end + 1), line.size());
  const std::string_view tag = line.substr(stream_end + 1, tag_end - stream_end - 1);
  // Tags may carry more after a colon, which nobody uses yet.
  if (tag.empty() || (tag.front() != 'P' && tag.front() != 'F')) return std::nullopt;
  LogLine out;
  out.time = line.substr(0, time_end);
  out.stream = line.substr(time_end + 1, stream_end - time_end - 1);
  if (out.stream != "stdout" && out.stream != "stderr") return std::nullopt;
  out.partial = tag.front() == 'P';
  if (tag_end < line.size()) out.text = line.substr(tag_end + 1);
  return out;
}

bool LogFormatter::emit(std::string_view line, std::string& out) {
  const auto parsed = parse_log_line(line);
  if (!parsed) return true;
  if (options_.since) {
    auto time = api::MicroTime::parse(parsed->time);
    if (time && time->wall() < *options_.since) return true;
  }
  const size_t before = out.size();
  if (options_.timestamps && !middle_of_line_) {
    out.append(parsed->time);
    out.push_back(' ');
  }
  out.append(parsed->text);
  if (!parsed->partial) out.push_back('\n');
  middle_of_line_ = parsed->partial;
  written_ += static_cast<int64_t>(out.size() - before);
  if (options_.limit_bytes < 0 || written_ < options_.limit_bytes) return true;
  out.resize(out.size() - static_cast<size_t>(written_ - options_.limit_bytes));
  return false;
}

bool LogFormatter::feed(std::string_view bytes, std::string& out) {
  if (options_.limit_bytes == 0) return false;
  rest_.append(bytes);
  size_t begin = 0;
  for (size_t end; (end = rest_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    if (!emit(std::string_view(rest_).substr(begin, end - begin), out)) return false;
  }
  rest_.erase(0, begin);
  return true;
}

Result<int64_t, std::string> tail_offset(int fd, int64_t lines) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return Err(std::string(strerror(errno)));
  if (lines < 0) return int64_t{0};
  if (lines == 0) return static_cast<int64_t>(info.st_size);
  std::string block(kBlock, '\0');
  int64_t found = 0;
  for (int64_t end = info.st_size; end > 0;) {
    const int64_t begin = std::max<int64_t>(0, end - kBlock);
    const ssize_t n = pread(fd, block.data(), static_cast<size_t>(end - begin), begin);
    if (n < 0) return Err(std::string(strerror(errno)));
    for (ssize_t i = n - 1; i >= 0; --i) {
      // The newline at the very end closes the last line; it does not begin another.
      if (block[static_cast<size_t>(i)] != '\n' || begin + i + 1 == info.st_size) continue;
      if (++found == lines) return begin + i + 1;
    }
    end = begin;
  }
  return int64_t{0};
}

}  // namespace orch::agent
