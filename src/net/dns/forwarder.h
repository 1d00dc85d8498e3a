// Asks upstream servers, one socket a question, with timeouts and another try elsewhere. Equal
// questions in flight are asked once: that also ends forwarding loops, whose question comes back
// to us and then waits for itself. One thread. Private to net/dns.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/dns/cache.h"
#include "net/dns/loop.h"
#include "net/dns/message.h"
#include "net/dns/upstreams.h"

namespace orch::net::dns {

class Forwarder {
 public:
  struct Options {
    std::chrono::milliseconds timeout{2000};
    int attempts = 3;
    size_t cache_entries_max = 4096;
  };
  Forwarder(Loop& loop, Upstreams upstreams, const Options& options);
  ~Forwarder();

  // `done` gets the upstream's reply as it came (id and case of the question are not the
  // caller's), or "" when nobody answered; at once from the cache, or later.
  using Done = std::function<void(const std::string& reply)>;
  void resolve(const Query& query, std::string_view message, bool tcp, Time now, Done done);
  // Milliseconds until expire() has something to do; -1 = nothing.
  int next_timeout_ms(Time now) const;
  void expire(Time now);
  size_t pending() const { return pending_.size(); }

 private:
  struct Pending {
    std::string key, message;  // message: with the id we ask under
    Question question;
    uint16_t id = 0;
    bool tcp = false;
    int fd = -1, attempt = 0;
    SocketAddress asked;
    Time deadline;
    std::string out, in;  // TCP
    std::string last;     // a reply that says no (SERVFAIL, REFUSED), if all others do too
    std::vector<Done> waiting;
  };
  void ask(Pending& pending, Time now);
  bool open_socket(Pending& pending);
  void ready(const std::string& key, uint32_t events);
  void read_udp(Pending& pending);
  void drive_tcp(Pending& pending, uint32_t events);
  void take(Pending& pending, std::string reply);
  void finish(const std::string& key, const std::string& reply);
  bool matches(const Pending& pending, std::string_view reply) const;

  Loop& loop_;
  Upstreams upstreams_;
  Options options_;
  ReplyCache cache_;
  std::map<std::string, std::unique_ptr<Pending>> pending_;
};

}  // namespace orch::net::dns
