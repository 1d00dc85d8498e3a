// Makes the kernel as the plan says, changing only what differs.
#include "orch/net/overlay.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "net/netlink/nftables.h"
#include "net/netlink/route_owner.h"
#include "orch/base/log.h"

namespace orch::net {

namespace {

constexpr int kSnat = 100;
constexpr uint32_t kMulticast = 0xe0000000;  // 224.0.0.0/4

template <class T>
bool holds(const std::vector<T>& list, const T& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

class KernelOverlay final : public Overlay {
 public:
  explicit KernelOverlay(const OverlayOptions& options) : options_(options) {}

  Result<Unit, NetError> apply(const OverlayNode& self,
                               const std::vector<OverlayNode>& nodes) override;

 private:
  void apply_vxlan(Netlink& netlink, OverlayPlan& plan);
  void apply_neighbours(Netlink& netlink, const OverlayPlan& plan, int link);
  void apply_routes(Netlink& netlink, const std::vector<Route>& desired, int link);
  void resolve_host_routes(Netlink& netlink, std::vector<Route>& routes);
  Result<Unit, NetError> apply_masquerade(const OverlayPlan& plan);
  template <class T>
  bool note(const Result<T, NetError>& done) {
    if (!done) errors_.push_back(done.error());
    return done.has_value();
  }

  OverlayOptions options_;
  std::vector<NetError> errors_;
  std::set<std::string> warned_;
  std::optional<std::pair<Ipv4Prefix, Ipv4Prefix>> masqueraded_;
  uint64_t table_handle_ = 0;
};

Result<Unit, NetError> KernelOverlay::apply(const OverlayNode& self,
                                            const std::vector<OverlayNode>& nodes) {
  errors_.clear();
  uint32_t parent_mtu = 1500;
  if (options_.mode == OverlayMode::kVxlan) {
    ORCH_TRY(parent_mtu, mtu_of_address(self.ip));
  }
  OverlayPlan plan = plan_overlay(options_, self, nodes, parent_mtu);
  for (const std::string& text : plan.skipped) {
    if (warned_.insert(text).second) log::warn("overlay", "{}", text);
  }
  note(enable_forwarding());
  ORCH_TRY(auto netlink, Netlink::open());
  if (plan.vxlan) {
    apply_vxlan(*netlink, plan);
  } else {
    // Left over from another mode.
    auto old = netlink->find_link(options_.device);
    if (note(old) && *old && (*old)->kind == "vxlan") note(netlink->remove_link(options_.device));
    if (options_.mode == OverlayMode::kHostGw) resolve_host_routes(*netlink, plan.routes);
    apply_routes(*netlink, plan.routes, 0);
  }
  note(apply_masquerade(plan));
  if (errors_.empty()) return Unit{};
  std::string text;
  for (const NetError& error : errors_) text += (text.empty() ? "" : "; ") + error;
  return Err(std::move(text));
}

void KernelOverlay::apply_vxlan(Netlink& netlink, OverlayPlan& plan) {
  auto link = netlink.ensure_vxlan(*plan.vxlan);
  if (!note(link)) return;
  if (plan.device_address) {
    auto addresses = netlink.addresses();
    if (note(addresses)) {
      for (const Address& at : *addresses) {
        if (at.link_index == link->index && at.prefix != *plan.device_address) {
          note(netlink.remove_address(link->name, at.prefix));
        }
      }
    }
    note(netlink.ensure_address(link->name, *plan.device_address));
  }
  for (Route& route : plan.routes) route.link_index = link->index;
  for (Neighbour& neighbour : plan.neighbours) neighbour.link_index = link->index;
  for (ForwardingEntry& entry : plan.forwarding) entry.link_index = link->index;
  apply_neighbours(netlink, plan, link->index);
  apply_routes(netlink, plan.routes, link->index);
}

void KernelOverlay::apply_neighbours(Netlink& netlink, const OverlayPlan& plan, int link) {
  auto neighbours = netlink.neighbours(link);
  auto forwarding = netlink.forwarding(link);
  if (!note(neighbours) || !note(forwarding)) return;
  for (const Neighbour& n : *neighbours) {
    if (!holds(plan.neighbours, n)) note(netlink.remove_neighbour(n));
  }
  for (const ForwardingEntry& e : *forwarding) {
    if (!holds(plan.forwarding, e)) note(netlink.remove_forwarding(e));
  }
  for (const Neighbour& n : plan.neighbours) {
    if (!holds(*neighbours, n)) note(netlink.ensure_neighbour(n));
  }
  for (const ForwardingEntry& e : plan.forwarding) {
    if (!holds(*forwarding, e)) note(netlink.ensure_forwarding(e));
  }
}

// Ours are, with our protocol number: those on the vxlan, or those with our metric.
void KernelOverlay::apply_routes(Netlink& netlink, const std::vector<Route>& desired, int link) {
  auto routes = netlink.routes();
  if (!note(routes)) return;
  const uint32_t metric = overlay_route_metric(options_.device);
  for (const Route& route : *routes) {
    bool ours = route.protocol == kOverlayRouteProtocol &&
                (route.metric == metric || (link && route.link_index == link));
    if (ours && !holds(desired, route)) note(netlink.remove_route(route));
  }
  for (const Route& route : desired) {
    if (!holds(*routes, route)) note(netlink.ensure_route(route));
  }
}

void KernelOverlay::resolve_host_routes(Netlink& netlink, std::vector<Route>& routes) {
  std::vector<Route> usable;
  for (Route& route : routes) {
    auto via = netlink.lookup_route(route.gateway);
    if (!note(via)) continue;
    if (!*via || (*via)->gateway != 0) {
      errors_.push_back(
          fmt::format("route {}: node {} is on no directly connected network, "
                      "which overlay host-gw needs",
                      format_prefix(route.destination), format_ipv4(route.gateway)));
      continue;
    }
    route.link_index = (*via)->link_index;
    usable.push_back(route);
  }
  routes = std::move(usable);
}

Result<Unit, NetError> KernelOverlay::apply_masquerade(const OverlayPlan& plan) {
  if (!plan.masquerade_source || options_.table.empty()) return Unit{};
  ORCH_TRY(auto nft, NfTables::open());
  ORCH_TRY(auto handle, nft->table_handle(options_.table));
  std::pair wanted{*plan.masquerade_source, *plan.masquerade_except};
  if (masqueraded_ == wanted && handle == table_handle_) return Unit{};
  NftBatch batch(options_.table);
  batch.add_table();
  batch.delete_table();
  batch.add_table();
  batch.add_base_chain("nat-postrouting", "nat", NftHook::kPostrouting, kSnat);
  const auto& [source, except] = wanted;
  NftRule rule;
  rule.saddr(0).mask(0, source.mask()).equals(0, NftKey().ip(source.network()).bytes());
  rule.daddr(0).mask(0, except.mask()).differs(0, NftKey().ip(except.network()).bytes());
  rule.daddr(0).mask(0, 0xf0000000).differs(0, NftKey().ip(kMulticast).bytes());
  rule.masquerade();
  batch.add_rule("nat-postrouting", rule);
  ORCH_CHECK(nft->apply(batch, "masquerade"));
  ORCH_TRY(handle, nft->table_handle(options_.table));
  table_handle_ = handle.value_or(0);
  masqueraded_ = wanted;
  return Unit{};
}

}  // namespace

std::unique_ptr<Overlay> Overlay::create(const OverlayOptions& options) {
  return std::make_unique<KernelOverlay>(options);
}

}  // namespace orch::net
