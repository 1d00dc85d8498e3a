// DNS queries from anybody: answer() says something well-formed or nothing, whatever the bytes.
// Upstream replies take the same way through the record reader and the cache.
#include <cstdint>
#include <cstdlib>

#include "net/dns/cache.h"
#include "net/dns/message.h"
#include "orch/net/dns.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace orch::net;
  static const std::shared_ptr<const DnsView> view = [] {
    DnsService web{"default", "web", {"10.43.0.7"}, "", {{"http", "TCP", 80}}, {}, false};
    DnsService db{"data", "db", {"None"}, "", {}, {{"10.42.0.5", "db-0", true, {}}}, false};
    DnsService out{"default", "out", {}, "www.example.org", {}, {}, false};
    return DnsView::build("cluster.local", {"default", "data"}, {web, db, out});
  }();
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (bool tcp : {false, true}) {
    DnsAnswer got = answer(bytes, *view, tcp);
    bool speaks = got.kind == DnsAnswer::Kind::kReply || got.kind == DnsAnswer::Kind::kFollow;
    if (speaks && !dns::read_records(got.message)) std::abort();
    if (speaks && !tcp && got.message.size() > 1232) std::abort();
  }
  dns::ReplyCache cache(1);
  auto now = std::chrono::steady_clock::now();
  cache.put("k", bytes, now);
  (void)cache.get("k", now);
  return 0;
}
