// Queries and replies as text.
#pragma once

#include <string>
#include <vector>

#include "net/dns/message.h"
#include "orch/net/dns.h"

namespace orch::net::test {

std::string make_query(const std::string& name, uint16_t type, uint16_t id = 1,
                       uint16_t edns_bytes = 0);

struct Parsed {
  int rcode = -1;
  bool authoritative = false, truncated = false;
  uint16_t id = 0;
  std::string question;  // as on the wire, with its case
  // "web.default.svc.cluster.local A 10.43.0.1", sorted
  std::vector<std::string> answers, authorities, additionals;
};
Parsed parse_reply(const std::string& message);

// Sends one query over UDP or TCP to 127.0.0.1 and waits; "" on a timeout.
std::string exchange(uint16_t port, bool tcp, const std::string& query, int timeout_ms = 3000);

// A cluster with a Service of each kind.
std::shared_ptr<const DnsView> sample_view();

}  // namespace orch::net::test
