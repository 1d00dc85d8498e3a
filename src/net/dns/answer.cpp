// answer(): what the cluster knows. Pure.
#include <algorithm>
#include <optional>
#include <span>

#include "net/dns/message.h"
#include "net/dns/view.h"
#include "orch/base/strings.h"
#include "orch/net/netlink.h"

namespace orch::net {

namespace {

using namespace dns;
using Index = DnsView::Index;
using Labels = std::span<const std::string>;

constexpr uint32_t kTtl = 5;
constexpr size_t kTcpBytesMax = 65535;
constexpr int kAliasesMax = 8;

bool below(std::string_view name, std::string_view domain) {
  if (name == domain) return true;
  return name.size() > domain.size() && name.ends_with(domain) &&
         name[name.size() - domain.size() - 1] == '.';
}

// One target of an answer: an address under a name, with the ports it serves.
struct Target {
  std::string name;
  Index::Address address;
  const std::vector<DnsPort>* ports;
};

struct Found {
  bool exists = false;
  std::vector<Target> targets;
  const Index::Service* alias = nullptr;  // ExternalName
  std::string port_name, protocol;        // of _port._proto names
  std::string text;                       // TXT
};

class Answerer {
 public:
  Answerer(const Query& query, const Index& index, bool tcp)
      : query_(query), index_(index), writer_(tcp ? kTcpBytesMax : udp_size_max(query)) {}

  DnsAnswer run();

 private:
  DnsAnswer answer_pointer(const std::vector<std::string>& names);
  DnsAnswer negative(uint8_t rcode);
  DnsAnswer reply() { return {DnsAnswer::Kind::kReply, writer_.finish(), ""}; }
  Found find(const std::string& name) const;
  Found find_service(Labels labels) const;
  Found find_pod(Labels labels) const;
  void write_targets(const std::string& owner, const Found& found);
  void write_srv(const std::string& owner, const Found& found, size_t first);
  void note(bool fits) { truncated_ |= !fits; }
  bool wants(uint16_t type) const {
    return query_.question.type == type || query_.question.type == kAny;
  }
  bool write_address(int section, const std::string& owner, const Index::Address& address);

  const Query& query_;
  const Index& index_;
  Writer writer_;
  bool truncated_ = false;
  size_t written_ = 0;
};

// Labels below the domain, first label first.
Found Answerer::find(const std::string& name) const {
  Found found;
  std::string_view relative = name;
  relative.remove_suffix(std::min(relative.size(), index_.domain.size() + 1));
  std::vector<std::string> all = labels_of(relative);
  Labels labels(all);
  if (labels.empty()) {
    found.exists = true;
    return found;
  }
  const std::string& last = labels.back();
  Labels rest = labels.first(labels.size() - 1);
  if (last == "svc") return find_service(rest);
  if (last == "pod") return find_pod(rest);
  if (last == "dns-version" && rest.empty()) {
    found.exists = true;
    found.text = "1.1.0";
  }
  return found;
}

Found Answerer::find_pod(Labels labels) const {
  Found found;
  if (labels.empty()) {
    found.exists = true;
    return found;
  }
  if (!index_.namespaces.count(labels.back()) || labels.size() > 2) return found;
  if (labels.size() == 1) {
    found.exists = true;
    return found;
  }
  static const std::vector<DnsPort> kNoPorts;
  std::string dotted = labels[0], colons = labels[0];
  std::replace(dotted.begin(), dotted.end(), '-', '.');
  std::replace(colons.begin(), colons.end(), '-', ':');
  auto address = parse_dns_address(dotted);
  if (!address) address = parse_dns_address(colons);
  if (!address) return found;
  found.exists = true;
  found.targets.push_back({"", *address, &kNoPorts});
  return found;
}

Found Answerer::find_service(Labels labels) const {
  Found found;
  if (labels.size() <= 1) {
    found.exists = labels.empty() || index_.namespaces.count(labels[0]);
    return found;
  }
  const std::string& ns = labels[labels.size() - 1];
  const std::string& name = labels[labels.size() - 2];
  Labels rest = labels.first(labels.size() - 2);
  auto at = index_.services.find(name + "." + ns);
  if (at == index_.services.end() || rest.size() > 2) return found;
  const Index::Service& service = at->second;
  if (!service.external_name.empty()) {
    found.exists = rest.empty();
    if (found.exists) found.alias = &service;
    return found;
  }
  if (rest.size() == 2) {
    if (rest[0].size() < 2 || rest[0][0] != '_' || rest[1].size() < 2 || rest[1][0] != '_') {
      return found;
    }
    found.port_name = rest[0].substr(1);
    found.protocol = rest[1].substr(1);
  }
  auto serves = [&](const std::vector<DnsPort>& ports) {
    if (found.port_name.empty()) return true;
    return std::any_of(ports.begin(), ports.end(), [&](const DnsPort& port) {
      return iequals(port.name, found.port_name) && iequals(port.protocol, found.protocol);
    });
  };
  for (const Index::Address& address : service.addresses) {
    if (rest.size() != 1 && serves(service.ports)) {
      found.targets.push_back({service.fqdn, address, &service.ports});
    }
  }
  for (const Index::Endpoint& endpoint : service.endpoints) {
    if ((rest.size() != 1 || rest[0] == endpoint.host) && serves(endpoint.ports)) {
      found.targets.push_back(
          {endpoint.host + "." + service.fqdn, endpoint.address, &endpoint.ports});
    }
  }
  // A headless Service without ready endpoints does not exist (specification 2.4.1).
  found.exists = !found.targets.empty();
  return found;
}

bool Answerer::write_address(int section, const std::string& owner, const Index::Address& address) {
  return address.v6.empty() ? writer_.a(section, owner, kTtl, address.v4)
                            : writer_.aaaa(section, owner, kTtl, address.v6);
}

void Answerer::write_srv(const std::string& owner, const Found& found, size_t first) {
  std::vector<const Target*> extra;
  std::set<std::pair<std::string, uint16_t>> seen;
  for (size_t i = 0; i < found.targets.size(); ++i) {
    const Target& target = found.targets[(first + i) % found.targets.size()];
    if (target.name.empty()) continue;
    for (const DnsPort& port : *target.ports) {
      bool named = found.port_name.empty() ||
                   (iequals(port.name, found.port_name) && iequals(port.protocol, found.protocol));
      // A dual-stack Service is one target with two addresses.
      if (!named || !seen.insert({target.name, port.port}).second) continue;
      note(writer_.srv(1, owner, kTtl, port.port, target.name));
      ++written_;
    }
    extra.push_back(&target);
  }
  // Additional addresses are a courtesy: left out where they do not fit.
  for (const Target* target : extra) {
    if (truncated_ || !write_address(3, target->name, target->address)) break;
  }
}

void Answerer::write_targets(const std::string& owner, const Found& found) {
  if (!found.text.empty() && wants(kTxt)) {
    note(writer_.txt(1, owner, kTtl, found.text));
    ++written_;
  }
  if (found.targets.empty()) return;
  // Clients mostly take the first address: the query's id turns the order.
  size_t first = query_.header.id % found.targets.size();
  std::set<std::pair<uint32_t, std::string>> seen;
  for (size_t i = 0; i < found.targets.size(); ++i) {
    const Index::Address& address = found.targets[(first + i) % found.targets.size()].address;
    if (!wants(address.v6.empty() ? kA : kAaaa)) continue;
    if (!seen.insert({address.v4, address.v6}).second) continue;
    note(write_address(1, owner, address));
    ++written_;
  }
  if (wants(kSrv)) write_srv(owner, found, first);
}

DnsAnswer Answerer::negative(uint8_t rcode) {
  writer_.set_rcode(rcode);
  (void)writer_.soa(2, index_.domain, kTtl, "ns.dns." + index_.domain,
                    "hostmaster." + index_.domain, kTtl);
  return reply();
}

DnsAnswer Answerer::answer_pointer(const std::vector<std::string>& names) {
  writer_.start(query_, kNoError, true);
  if (!wants(kPtr)) return negative(kNoError);
  for (const std::string& name : names) {
    note(writer_.name_record(1, kPtr, query_.question.name, kTtl, name));
  }
  if (truncated_) writer_.set_truncated();
  return reply();
}

DnsAnswer Answerer::run() {
  std::string name = query_.question.name;
  if (auto at = index_.pointers.find(name); at != index_.pointers.end()) {
    return answer_pointer(at->second);
  }
  if (!below(name, index_.domain)) return {DnsAnswer::Kind::kForward, "", ""};
  writer_.start(query_, kNoError, true);
  for (int aliases = 0; aliases < kAliasesMax; ++aliases) {
    Found found = find(name);
    if (!found.exists) return negative(kNameError);
    if (found.alias) {
      std::string target = found.alias->external_name;
      note(writer_.name_record(1, kCname, name, kTtl, target));
      ++written_;
      if (query_.question.type == kCname || query_.question.type == kAny) return reply();
      if (!below(target, index_.domain)) {
        return {DnsAnswer::Kind::kFollow, writer_.finish(), target};
      }
      name = std::move(target);
      continue;
    }
    if (name == index_.domain && wants(kSoa)) {
      (void)writer_.soa(1, name, kTtl, "ns.dns." + name, "hostmaster." + name, kTtl);
      return reply();
    }
    write_targets(name, found);
    if (truncated_) writer_.set_truncated();
    return written_ > 0 ? reply() : negative(kNoError);
  }
  return {DnsAnswer::Kind::kReply, bare_reply(query_, kServerFailure), ""};  // aliases in a ring
}

}  // namespace

DnsAnswer answer(std::string_view bytes, const DnsView& view, bool tcp) {
  auto header = read_header(bytes);
  if (!header || header->reply) return {};
  uint8_t rcode = kNoError;
  auto query = read_query(bytes, rcode);
  if (!query) return {DnsAnswer::Kind::kReply, bare_error(*header, rcode), ""};
  bool known = query->question.class_ == kClassIn || query->question.class_ == kClassAny;
  if (!known) return {DnsAnswer::Kind::kReply, bare_reply(*query, kRefused), ""};
  if (query->edns && query->edns->version != 0) {
    return {DnsAnswer::Kind::kReply, bare_reply(*query, kNoError), ""};
  }
  return Answerer(*query, view.index(), tcp).run();
}

}  // namespace orch::net
