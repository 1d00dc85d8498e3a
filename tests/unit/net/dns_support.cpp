#include "unit/net/dns_support.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "orch/net/netlink.h"

namespace orch::net::test {

using namespace dns;

std::string make_query(const std::string& name, uint16_t type, uint16_t id, uint16_t edns_bytes) {
  std::string query(kHeaderBytes, '\0');
  write16(query, 0, id);
  write16(query, 2, 0x0100);
  write16(query, 4, 1);
  query += to_wire(name).value();
  query += {static_cast<char>(type >> 8), static_cast<char>(type), 0, 1};
  if (edns_bytes) {
    write16(query, 10, 1);
    query += {0, 0, 41, static_cast<char>(edns_bytes >> 8), static_cast<char>(edns_bytes), 0, 0, 0,
              0, 0, 0};
  }
  return query;
}

namespace {

std::string record_text(const std::string& message, const Record& r) {
  std::string_view data = std::string_view(message).substr(r.data_offset, r.data_size);
  size_t at = r.data_offset;
  switch (r.type) {
    case kA:
      return fmt::format("{} A {}", r.name, format_ipv4(read32(data, 0)));
    case kAaaa: {
      char text[INET6_ADDRSTRLEN];
      return fmt::format("{} AAAA {}", r.name, inet_ntop(AF_INET6, data.data(), text, sizeof text));
    }
    case kCname:
      return fmt::format("{} CNAME {}", r.name, read_name(message, at, false).value_or("?"));
    case kPtr:
      return fmt::format("{} PTR {}", r.name, read_name(message, at, false).value_or("?"));
    case kSrv:
      at += 6;
      return fmt::format("{} SRV {} {} {} {}", r.name, read16(data, 0), read16(data, 2),
                         read16(data, 4), read_name(message, at, false).value_or("?"));
    case kTxt:
      return fmt::format("{} TXT {}", r.name, data.substr(1));
    case kSoa:
      return fmt::format("{} SOA {} ttl {}", r.name, read_name(message, at, false).value_or("?"),
                         r.ttl);
    case kOpt:
      return fmt::format("OPT {}", r.class_);
    default:
      return fmt::format("{} TYPE{}", r.name, r.type);
  }
}

}  // namespace

Parsed parse_reply(const std::string& message) {
  Parsed parsed;
  auto header = read_header(message);
  auto records = read_records(message);
  if (!header || !header->reply || !records) return parsed;
  parsed.id = header->id;
  parsed.rcode = header->rcode;
  parsed.authoritative = header->authoritative;
  parsed.truncated = header->truncated;
  if (header->questions) {
    size_t at = kHeaderBytes;
    parsed.question = read_name(message, at, false).value_or("?");
  }
  for (const Record& record : *records) {
    auto& list = record.section == 1   ? parsed.answers
                 : record.section == 2 ? parsed.authorities
                                       : parsed.additionals;
    list.push_back(record_text(message, record));
  }
  std::sort(parsed.answers.begin(), parsed.answers.end());
  std::sort(parsed.additionals.begin(), parsed.additionals.end());
  return parsed;
}

std::string exchange(uint16_t port, bool tcp, const std::string& query, int timeout_ms) {
  int fd = socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
  timeval limit{timeout_ms / 1000, timeout_ms % 1000 * 1000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string reply;
  char bytes[65537];
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0) {
    std::string out = query;
    if (tcp) out.insert(0, {static_cast<char>(query.size() >> 8), static_cast<char>(query.size())});
    (void)!write(fd, out.data(), out.size());
    for (;;) {
      ssize_t got = read(fd, bytes, sizeof bytes);
      if (got <= 0) break;
      reply.append(bytes, static_cast<size_t>(got));
      if (!tcp) break;
      if (reply.size() >= 2 && reply.size() >= read16(reply, 0) + size_t{2}) break;
    }
    if (tcp && reply.size() >= 2) reply.erase(0, 2);
  }
  close(fd);
  return reply;
}

std::shared_ptr<const DnsView> sample_view() {
  DnsService web;
  web.namespace_ = "default";
  web.name = "web";
  web.cluster_ips = {"10.43.0.7", "fd00::7"};
  web.ports = {{"http", "TCP", 80}, {"dns", "UDP", 53}};
  DnsService db;
  db.namespace_ = "data";
  db.name = "db";
  db.cluster_ips = {"None"};
  std::vector<DnsPort> ports = {{"sql", "TCP", 5432}};
  db.ports = ports;
  db.endpoints = {{"10.42.0.5", "db-0", true, ports},
                  {"10.42.1.6", "db-1", false, ports},
                  {"10.42.1.7", "", true, ports}};
  DnsService out;
  out.namespace_ = "default";
  out.name = "out";
  out.external_name = "www.Example.org";
  DnsService in = out;
  in.name = "in";
  in.external_name = "web.default.svc.cluster.local.";
  DnsService ring = out;
  ring.name = "ring";
  ring.external_name = "ring.default.svc.cluster.local";
  DnsService empty = db;
  empty.name = "empty";
  empty.endpoints.clear();
  DnsService early = db;
  early.name = "early";
  early.publish_not_ready_addresses = true;
  early.endpoints = {{"10.42.1.9", "e", false, ports}};
  return DnsView::build("cluster.local", {"default", "data", "bare"},
                        {web, db, out, in, ring, empty, early});
}

}  // namespace orch::net::test
