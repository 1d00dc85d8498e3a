#include <catch2/catch.hpp>

#include <random>

#include "orch/net/dns.h"
#include "unit/net/dns_support.h"

using namespace orch::net;
using namespace orch::net::dns;
using namespace orch::net::test;
using Kind = DnsAnswer::Kind;
using Lines = std::vector<std::string>;

namespace {

Parsed asked(const std::string& name, uint16_t type, bool tcp = false) {
  DnsAnswer got = answer(make_query(name, type), *sample_view(), tcp);
  REQUIRE(got.kind == Kind::kReply);
  return parse_reply(got.message);
}

const Lines kNegative = {"cluster.local SOA ns.dns.cluster.local ttl 5"};

}  // namespace

TEST_CASE("a Service's name gives its cluster IPs, one family a type") {
  Parsed a = asked("web.default.svc.cluster.local", kA);
  CHECK(a.rcode == 0);
  CHECK(a.authoritative);
  CHECK(a.answers == Lines{"web.default.svc.cluster.local A 10.43.0.7"});
  CHECK(asked("web.default.svc.cluster.local", kAaaa).answers ==
        Lines{"web.default.svc.cluster.local AAAA fd00::7"});
  Parsed mx = asked("web.default.svc.cluster.local", kMx);
  CHECK(mx.rcode == 0);
  CHECK(mx.answers.empty());
  CHECK(mx.authorities == kNegative);
}

TEST_CASE("names match whatever their case, and come back as written") {
  DnsAnswer got = answer(make_query("WEB.Default.svc.CLUSTER.local", kA), *sample_view(), false);
  Parsed a = parse_reply(got.message);
  CHECK(a.question == "WEB.Default.svc.CLUSTER.local");
  CHECK(a.answers == Lines{"WEB.Default.svc.CLUSTER.local A 10.43.0.7"});
}

TEST_CASE("names that are not there are NXDOMAIN, names between are NODATA") {
  for (const char* name :
       {"nope.default.svc.cluster.local", "web.nope.svc.cluster.local", "nope.cluster.local",
        "x.web.default.svc.cluster.local", "a.b.c.web.default.svc.cluster.local",
        "nope.svc.cluster.local", "example.com.default.svc.cluster.local",
        "example.com.svc.cluster.local", "example.com.cluster.local",
        "empty.data.svc.cluster.local", "_http.tcp.web.default.svc.cluster.local",
        "_nope._tcp.web.default.svc.cluster.local", "10-0-0-1.nope.pod.cluster.local",
        "10-0-0-999.default.pod.cluster.local"}) {
    CAPTURE(name);
    Parsed got = asked(name, kA);
    CHECK(got.rcode == 3);
    CHECK(got.authorities == kNegative);
  }
  for (const char* name : {"cluster.local", "svc.cluster.local", "pod.cluster.local",
                           "default.svc.cluster.local", "bare.pod.cluster.local"}) {
    CAPTURE(name);
    Parsed got = asked(name, kA);
    CHECK(got.rcode == 0);
    CHECK(got.answers.empty());
    CHECK(got.authorities == kNegative);
  }
}

TEST_CASE("a headless Service gives its ready endpoints, by name too") {
  CHECK(asked("db.data.svc.cluster.local", kA).answers ==
        Lines{"db.data.svc.cluster.local A 10.42.0.5", "db.data.svc.cluster.local A 10.42.1.7"});
  CHECK(asked("db-0.db.data.svc.cluster.local", kA).answers ==
        Lines{"db-0.db.data.svc.cluster.local A 10.42.0.5"});
  CHECK(asked("10-42-1-7.db.data.svc.cluster.local", kA).answers ==
        Lines{"10-42-1-7.db.data.svc.cluster.local A 10.42.1.7"});
  CHECK(asked("db-1.db.data.svc.cluster.local", kA).rcode == 3);  // not ready
  CHECK(asked("e.early.data.svc.cluster.local", kA).answers.size() == 1);
  CHECK(asked("db.data.svc.cluster.local", kAaaa).rcode == 0);
}

TEST_CASE("the first of several addresses changes from query to query") {
  std::set<std::string> firsts;
  for (uint16_t id = 0; id < 4; ++id) {
    std::string reply =
        answer(make_query("db.data.svc.cluster.local", kA, id), *sample_view(), false).message;
    auto records = read_records(reply);
    firsts.insert(reply.substr((*records)[0].data_offset, 4));
  }
  CHECK(firsts.size() == 2);
}

TEST_CASE("SRV: ports by name, targets with their addresses") {
  Parsed got = asked("_http._tcp.web.default.svc.cluster.local", kSrv);
  CHECK(got.answers == Lines{"_http._tcp.web.default.svc.cluster.local SRV 0 100 80 "
                             "web.default.svc.cluster.local"});
  CHECK(got.additionals == Lines{"web.default.svc.cluster.local A 10.43.0.7",
                                 "web.default.svc.cluster.local AAAA fd00::7"});
  CHECK(asked("web.default.svc.cluster.local", kSrv).answers.size() == 2);
  got = asked("_sql._tcp.db.data.svc.cluster.local", kSrv);
  CHECK(got.answers == Lines{"_sql._tcp.db.data.svc.cluster.local SRV 0 100 5432 "
                             "10-42-1-7.db.data.svc.cluster.local",
                             "_sql._tcp.db.data.svc.cluster.local SRV 0 100 5432 "
                             "db-0.db.data.svc.cluster.local"});
  CHECK(got.additionals.size() == 2);
  CHECK(asked("_http._udp.web.default.svc.cluster.local", kSrv).rcode == 3);
}

TEST_CASE("PTR of cluster IPs and headless endpoints; others are asked for upstream") {
  CHECK(asked("7.0.43.10.in-addr.arpa", kPtr).answers ==
        Lines{"7.0.43.10.in-addr.arpa PTR web.default.svc.cluster.local"});
  CHECK(asked("5.0.42.10.in-addr.arpa", kPtr).answers ==
        Lines{"5.0.42.10.in-addr.arpa PTR db-0.db.data.svc.cluster.local"});
  CHECK(asked("7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", kPtr)
            .answers.size() == 1);
  CHECK(answer(make_query("1.1.1.1.in-addr.arpa", kPtr), *sample_view(), false).kind ==
        Kind::kForward);
}

TEST_CASE("pod names hold their address") {
  CHECK(asked("10-42-3-4.default.pod.cluster.local", kA).answers ==
        Lines{"10-42-3-4.default.pod.cluster.local A 10.42.3.4"});
  CHECK(asked("10-42-3-4.default.pod.cluster.local", kAaaa).rcode == 0);
  CHECK(asked("fd00--5.default.pod.cluster.local", kAaaa).answers ==
        Lines{"fd00--5.default.pod.cluster.local AAAA fd00::5"});
}

TEST_CASE("ExternalName: an alias, followed inside, handed on outside, never in circles") {
  CHECK(asked("in.default.svc.cluster.local", kA).answers ==
        Lines{"in.default.svc.cluster.local CNAME web.default.svc.cluster.local",
              "web.default.svc.cluster.local A 10.43.0.7"});
  CHECK(asked("out.default.svc.cluster.local", kCname).answers ==
        Lines{"out.default.svc.cluster.local CNAME www.example.org"});
  DnsAnswer outside =
      answer(make_query("out.default.svc.cluster.local", kA), *sample_view(), false);
  CHECK(outside.kind == Kind::kFollow);
  CHECK(outside.follow_name == "www.example.org");
  CHECK(asked("ring.default.svc.cluster.local", kA).rcode == 2);
}

TEST_CASE("other names are forwarded; the zone itself and its version are known") {
  for (const char* name : {"example.org", "notcluster.local", "local", "xcluster.local"}) {
    CHECK(answer(make_query(name, kA), *sample_view(), false).kind == Kind::kForward);
  }
  CHECK(asked("cluster.local", kSoa).answers == kNegative);
  CHECK(asked("dns-version.cluster.local", kTxt).answers ==
        Lines{"dns-version.cluster.local TXT 1.1.0"});
}

TEST_CASE("EDNS0 is answered; long replies are cut off for UDP, whole for TCP") {
  DnsService big;
  big.namespace_ = "default";
  big.name = "big";
  for (int i = 0; i < 200; ++i) {
    big.endpoints.push_back({"10.42.7." + std::to_string(i), "", true, {}});
  }
  auto view = DnsView::build("cluster.local", {"default"}, {big});
  const std::string name = "big.default.svc.cluster.local";
  std::string plain = answer(make_query(name, kA), *view, false).message;
  CHECK(plain.size() <= 512);
  CHECK(parse_reply(plain).truncated);
  CHECK(parse_reply(plain).answers.size() > 10);
  std::string edns = answer(make_query(name, kA, 1, 4096), *view, false).message;
  CHECK(edns.size() <= 1232);
  CHECK(parse_reply(edns).truncated);
  CHECK(parse_reply(edns).additionals == Lines{"OPT 1232"});
  std::string tcp = answer(make_query(name, kA), *view, true).message;
  CHECK(!parse_reply(tcp).truncated);
  CHECK(parse_reply(tcp).answers.size() == 200);
}

TEST_CASE("broken queries: an error or silence, never more") {
  auto view = sample_view();
  std::string good = make_query("web.default.svc.cluster.local", kA, 7, 1232);
  CHECK(answer("", *view, false).kind == Kind::kIgnore);
  CHECK(answer(good.substr(0, 11), *view, false).kind == Kind::kIgnore);
  CHECK(parse_reply(answer(good.substr(0, 20), *view, false).message).rcode == 1);
  std::string reply = good;
  reply[2] = static_cast<char>(0x81);
  CHECK(answer(reply, *view, false).kind == Kind::kIgnore);
  std::string notify = good;
  notify[2] = 0x20;
  CHECK(parse_reply(answer(notify, *view, false).message).rcode == 4);
  std::string two = good;
  write16(two, 4, 2);
  CHECK(parse_reply(answer(two, *view, false).message).rcode == 1);
  std::string chaos = good;
  write16(chaos, chaos.size() - 13, 3);
  CHECK(parse_reply(answer(chaos, *view, false).message).rcode == 5);
  // A name that points to itself, and one that points forward.
  std::string loop = good.substr(0, 12) + "\xc0\x0c" + std::string("\0\1\0\1", 4);
  write16(loop, 10, 0);
  CHECK(parse_reply(answer(loop, *view, false).message).rcode == 1);
  std::string version = good;
  version[version.size() - 5] = 1;
  auto records = read_records(answer(version, *view, false).message);
  REQUIRE(records);
  CHECK(records->back().ttl >> 24 == 1);  // BADVERS
}

TEST_CASE("random damage to queries never breaks the answer") {
  auto view = sample_view();
  std::mt19937 random(42);
  const std::string seeds[] = {make_query("web.default.svc.cluster.local", kA, 7, 1232),
                               make_query("_sql._tcp.db.data.svc.cluster.local", kSrv, 9),
                               make_query("out.default.svc.cluster.local", kAny, 9)};
  int replies = 0;
  for (int i = 0; i < 30000; ++i) {
    std::string message = seeds[random() % 3];
    for (unsigned n = random() % 4; n > 0; --n)
      message[random() % message.size()] = static_cast<char>(random());
    if (random() % 4 == 0) message.resize(random() % (message.size() + 1));
    DnsAnswer got = answer(message, *view, random() % 2);
    if (got.kind != Kind::kReply) continue;
    ++replies;
    REQUIRE(read_records(got.message));
    REQUIRE(got.message.substr(0, 2) == message.substr(0, 2));
  }
  CHECK(replies > 10000);
}
