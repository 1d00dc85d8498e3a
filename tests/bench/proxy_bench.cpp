// The service proxy against the kernel, in a network namespace of its own: whole load, one change
// among many, a change of nothing. Peer figures are those of kube-proxy's iptables rules loaded by
// iptables-nft-restore, as far as measured on 2 cores; they are printed for scale only.
#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <functional>

#include "orch/net/netlink.h"
#include "orch/net/proxy.h"

using namespace orch;
using namespace orch::net;

namespace {

constexpr int kEndpoints = 3;
constexpr int kRepeats = 5;

std::vector<ProxyService> make_services(int count) {
  std::vector<ProxyService> services(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    ProxyService& service = services[static_cast<size_t>(i)];
    service.namespace_ = "default";
    service.name = fmt::format("service-{}", i);
    service.cluster_ips = {format_ipv4(0x0a2b0000u + 2 + static_cast<uint32_t>(i))};
    ProxyPort port;
    port.port = 80;
    for (int e = 0; e < kEndpoints; ++e) {
      ProxyEndpoint endpoint;
      endpoint.ip = format_ipv4(0x0a2a0000u + static_cast<uint32_t>((i * kEndpoints + e) % 60000));
      endpoint.port = 8080;
      port.endpoints.push_back(endpoint);
    }
    service.ports = {port};
  }
  return services;
}

double milliseconds(const std::function<void()>& fn) {
  auto start = std::chrono::steady_clock::now();
  fn();
  std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  return took.count();
}

void must(const Result<Unit, NetError>& done) {
  if (done) return;
  fmt::print(stderr, "{}\n", done.error());
  _exit(1);
}

std::unique_ptr<ProxyBackend> make_backend() {
  auto made = make_proxy_backend("nftables", {"orch-bench"});
  if (made) return *std::move(made);
  fmt::print(stderr, "{}\n", made.error());
  _exit(1);
}

void measure(int count, const char* peer_load) {
  const ProxyNode node{"node", "10.42.0.0/16"};
  std::vector<ProxyService> services = make_services(count);
  double best_build = 1e9, best_load = 1e9, best_change = 1e9, best_same = 1e9;
  for (int i = 0; i < kRepeats; ++i) {
    auto proxy = make_backend();
    RuleSet rules;
    best_build = std::min(best_build, milliseconds([&] { rules = build_rules(services, node); }));
    best_load = std::min(best_load, milliseconds([&] { must(proxy->apply(rules)); }));
    RuleSet changed = rules;
    changed.frontends.begin()->second.endpoints[0].port = 8081;
    best_change = std::min(best_change, milliseconds([&] { must(proxy->apply(changed)); }));
    best_same = std::min(best_same, milliseconds([&] { must(proxy->apply(changed)); }));
    must(proxy->remove());
  }
  fmt::print("{:>9} {:>12.1f} {:>12.1f} {:>14.2f} {:>14.2f} {:>18}\n", count, best_build, best_load,
             best_change, best_same, peer_load);
}

}  // namespace

int main() {
  if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0) {
    fmt::print("skipped: a network namespace needs root\n");
    return 0;
  }
  fmt::print("service proxy, nftables, {} endpoints a Service, best of {}, ms\n", kEndpoints,
             kRepeats);
  fmt::print("{:>9} {:>12} {:>12} {:>14} {:>14} {:>18}\n", "services", "build rules", "whole load",
             "one change", "no change", "iptables-nft load");
  measure(1000, "680");
  measure(10000, "163000");
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print("peak RSS {} MiB\n", usage.ru_maxrss / 1024);
  return 0;
}
