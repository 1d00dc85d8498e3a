#include "agent/serve/log_reader.h"

#include <stdlib.h>
#include <unistd.h>
#include <catch2/catch.hpp>

namespace orch::agent {
namespace {

// What comes out, fed in pieces of `piece` bytes.
std::string shown(const std::string& file, const LogOptions& options, size_t piece = 1 << 20) {
  LogFormatter formatter(options);
  std::string out;
  for (size_t at = 0; at < file.size(); at += piece) {
    if (!formatter.feed(std::string_view(file).substr(at, piece), out)) break;
  }
  return out;
}

const std::string kFile =
    "2024-05-01T10:00:00.000000001Z stdout F one\n"
    "2024-05-01T10:00:01.5Z stderr F two words\n"
    "2024-05-01T10:00:02Z stdout F \n"
    "2024-05-01T12:00:03+02:00 stdout F four\n";

TEST_CASE("log lines are parsed, others are not") {
  auto line = parse_log_line("2024-05-01T10:00:00Z stderr P half a line ");
  REQUIRE(line);
  CHECK(line->time == "2024-05-01T10:00:00Z");
  CHECK(line->stream == "stderr");
  CHECK(line->text == "half a line ");
  CHECK(line->partial);
  CHECK_FALSE(parse_log_line("t stdout F")->partial);
  CHECK(parse_log_line("t stdout F")->text.empty());
  CHECK(parse_log_line("t stdout P:x text")->partial);
  for (const char* bad : {"", "text", "2024-05-01T10:00:00Z", "2024-05-01T10:00:00Z stdout",
                          "2024-05-01T10:00:00Z stdout ", "just some words here",
                          "2024-05-01T10:00:00Z stdout X text", "t stdlog F text"}) {
    INFO(bad);
    CHECK_FALSE(parse_log_line(bad));
  }
}

TEST_CASE("logs: text, time stamps, whatever the pieces") {
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{4096}}) {
    CHECK(shown(kFile, {}, piece) == "one\ntwo words\n\nfour\n");
    LogOptions stamped;
    stamped.timestamps = true;
    CHECK(shown(kFile, stamped, piece) ==
          "2024-05-01T10:00:00.000000001Z one\n2024-05-01T10:00:01.5Z two words\n"
          "2024-05-01T10:00:02Z \n2024-05-01T12:00:03+02:00 four\n");
  }
}

TEST_CASE("logs: partial entries make one line, with one time stamp") {
  const std::string file =
      "2024-05-01T10:00:00Z stdout P long \n"
      "2024-05-01T10:00:01Z stdout P and longer \n"
      "2024-05-01T10:00:02Z stdout F end\n"
      "2024-05-01T10:00:03Z stdout F next\n";
  CHECK(shown(file, {}) == "long and longer end\nnext\n");
  LogOptions stamped;
  stamped.timestamps = true;
  CHECK(shown(file, stamped) ==
        "2024-05-01T10:00:00Z long and longer end\n2024-05-01T10:00:03Z next\n");
}

TEST_CASE("logs: since, by time and not by place") {
  LogOptions since;
  since.since = WallTime{Seconds{1714557601}};  // 10:00:01
  CHECK(shown(kFile, since) == "two words\n\nfour\n");
  since.since = WallTime{Seconds{1714557603}};  // the last line's, in UTC
  CHECK(shown(kFile, since) == "four\n");
  since.since = WallTime{Seconds{1714557604}};
  CHECK(shown(kFile, since).empty());
}

TEST_CASE("logs: limitBytes cuts to the byte and stops") {
  LogOptions limit;
  for (const int64_t bytes : {0, 1, 3, 4, 6, 1000}) {
    limit.limit_bytes = bytes;
    INFO(bytes);
    CHECK(shown(kFile, limit, 5) ==
          std::string("one\ntwo words\n\nfour\n").substr(0, static_cast<size_t>(bytes)));
  }
  limit.limit_bytes = 4;
  LogFormatter formatter(limit);
  std::string out;
  CHECK_FALSE(formatter.feed(kFile, out));
}

TEST_CASE("logs: malformed lines and an unfinished last one are left out") {
  CHECK(shown("garbage\n" + kFile + "\n\n2024-05-01T10:00:09Z stdout F unfin", {}) ==
        "one\ntwo words\n\nfour\n");
  CHECK(shown(std::string(3, '\0') + "\n" + kFile, {}) == "one\ntwo words\n\nfour\n");
}

struct File {
  int fd;
  explicit File(const std::string& text) {
    char name[] = "/tmp/orch-log-XXXXXX";
    fd = mkstemp(name);
    unlink(name);
    REQUIRE(write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  ~File() { close(fd); }
};

TEST_CASE("logs: where the last lines begin") {
  File file("a\nbb\nccc\n");
  CHECK(*tail_offset(file.fd, -1) == 0);
  CHECK(*tail_offset(file.fd, 0) == 9);
  CHECK(*tail_offset(file.fd, 1) == 5);
  CHECK(*tail_offset(file.fd, 2) == 2);
  CHECK(*tail_offset(file.fd, 3) == 0);
  CHECK(*tail_offset(file.fd, 99) == 0);
  File open_end("a\nbb");
  CHECK(*tail_offset(open_end.fd, 1) == 2);
  File empty("");
  CHECK(*tail_offset(empty.fd, 1) == 0);
  // Lines that cross the blocks it reads in.
  const std::string line(100'000, 'x');
  File big(line + "\n" + line + "\n" + line + "\n");
  CHECK(*tail_offset(big.fd, 1) == 200'002);
  CHECK(*tail_offset(big.fd, 2) == 100'001);
  CHECK_FALSE(tail_offset(-1, 1));
}

}  // namespace
}  // namespace orch::agent
