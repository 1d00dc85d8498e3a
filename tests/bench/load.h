// What the HTTP benchmarks share: a load generator of one thread over epoll and TLS, and what /proc
// tells of the process it loads. Failures end the program: a benchmark has no half results.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/channel.h"
#include "net/http/tls_context.h"
#include "orch/net/http.h"

namespace orch::bench {

using Steady = std::chrono::steady_clock;

double ms_since(Steady::time_point begin);
int fail(const std::string& why);                      // prints it; 1, an exit code
long status_value(pid_t pid, const std::string& key);  // of /proc/PID/status, KiB for sizes
double cpu_seconds(pid_t pid);
void raise_file_limit();

// A server on 127.0.0.1 and how to speak TLS with it.
struct Load {
  net::SslCtxPtr context;
  uint16_t port = 0;
  static Load create(const net::TlsClientContext::Options& options, uint16_t port);
  net::Channel dial() const;  // connected and shaken hands; then non-blocking
};

// Writes all of it, waiting where the socket is full.
void send(net::Channel& channel, std::string_view text);
// Reads what is there, adds it to `keep` if given; returns the number of bytes.
size_t drain(net::Channel& channel, std::string* keep = nullptr);

// "GET /path HTTP/1.1" and its headers; with a body "METHOD /path" of the given type.
std::string request_text(std::string_view method, std::string_view path, std::string_view body = {},
                         std::string_view type = "application/json");

struct Answer {
  int status = 0;
  std::string body;
  double first_byte_ms = 0, ms = 0;
};
// One request to the end of its answer (Content-Length or chunked).
Answer ask(net::Channel& channel, const std::string& request);

// The same, for long answers with a Content-Length: the body is counted, not kept, so that it is
// the server that is measured.
struct Skimmed {
  int status = 0;
  size_t bytes = 0;
  double first_byte_ms = 0, ms = 0;
};
Skimmed skim(net::Channel& channel, const std::string& request);

struct Rates {
  double per_second = 0, p50_ms = 0, p99_ms = 0;
};
Rates summarise(std::vector<double>& took_ms, double seconds);  // 0 seconds: no rate
// `connections` each with one request in flight for `seconds`: next() makes them. Ends the program
// on any answer whose status is not 2xx.
Rates closed_loop(const Load& load, int connections, double seconds,
                  const std::function<std::string()>& next);

}  // namespace orch::bench
