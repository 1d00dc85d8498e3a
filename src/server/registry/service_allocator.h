// Hands out cluster IPs and node ports to Services. Any thread.
//
// In a store of this process alone memory says what is taken; the stored Services are the truth,
// and repair() at start forgets what a crash leaked. In one that several servers share, each
// address and port taken is a key (claims.h) written with the Service, and memory has only what is
// under way here; ClaimRepair mends what others left.
//
// Addresses and ports asked for by a client come from the whole range; those chosen here come from
// its upper part first, so that asked-for ones seldom collide (KEP-3070, KEP-3668).
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/corev1.h"  // generated
#include "orch/api/error.h"
#include "orch/base/random.h"
#include "orch/base/result.h"
#include "orch/storage/kv_store.h"
#include "server/registry/claims.h"

namespace orch::server {

class ServiceAllocator {
 public:
  // "10.43.0.0/16", "30000-32767". Error: a sentence naming the flag.
  static Result<std::unique_ptr<ServiceAllocator>, std::string> create(Random& random,
                                                                       std::string_view cidr,
                                                                       std::string_view ports);

  // What one write took and gives back: taken values are freed again unless commit() was called;
  // values that the new object no longer has are freed by commit().
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& other) noexcept { *this = std::move(other); }
    Ticket& operator=(Ticket&& other) noexcept;
    ~Ticket();
    void commit();
    Claims& claims() { return claims_; }  // for the write; empty when memory is enough

   private:
    friend class ServiceAllocator;
    ServiceAllocator* owner_ = nullptr;
    Claims claims_;
    std::vector<uint32_t> taken_ips_, dropped_ips_;
    std::vector<int32_t> taken_ports_, dropped_ports_;
  };

  // Others allocate in this store, too. Before the first allocate(); the store outlives this.
  void share(storage::KvStore& store) { store_ = &store; }

  // On update: values of the old object that the new one leaves out, and drops those that the new
  // type has no use for.
  static void carry_over(api::corev1::Service& now, const api::corev1::Service& old);
  // Fills in clusterIP, clusterIPs, ipFamilies, node ports. 422 when they are taken or out of
  // range.
  api::ApiResult<Ticket> allocate(api::corev1::Service& now, const api::corev1::Service* old);
  // Of a Service that is deleted: what goes with it, and, once it is gone, what is free again.
  Claims claims_of(const api::corev1::Service& service) const;
  void release(const api::corev1::Service& service);
  // Takes over what stored Services hold. Not in a shared store.
  void repair(const std::vector<api::corev1::Service>& services);

  std::string first_ip() const;  // of the Service "kubernetes"
  // The keys that a Service's address and ports are claimed by.
  static std::vector<std::string> claim_keys(const api::corev1::Service& service);
  size_t ips_used() const;
  size_t ports_used() const;

 private:
  ServiceAllocator(Random& random, uint32_t base, uint32_t size, std::string cidr, int32_t low,
                   int32_t high)
      : random_(random), base_(base), size_(size), cidr_(std::move(cidr)), low_(low), high_(high) {}
  void take_given_ip(const api::corev1::Service& now, Ticket& ticket, api::FieldErrors& errors);
  bool take_any_ip(api::corev1::Service& now, Ticket& ticket);
  void take_ports(api::corev1::Service& now, const std::set<int32_t>& held, Ticket& ticket,
                  api::FieldErrors& errors);
  int32_t any_port() const;
  bool hold_ip(uint32_t ip) { return !claimed(ip_claim(ip)) && ips_.insert(ip).second; }
  bool free_port(int32_t port) const {
    return ports_.count(port) == 0 && !claimed(port_claim(port));
  }
  static std::string ip_claim(uint32_t ip);
  static std::string port_claim(int32_t port);
  // Who has it, as far as this server has seen; "" = nobody, or the store is not shared.
  std::string owner_of(const std::string& claim) const;
  bool claimed(const std::string& claim) const {
    return store_ != nullptr && !owner_of(claim).empty();
  }
  void claim(const api::corev1::Service& now, Ticket& ticket) const;
  size_t used(const std::string& claims, size_t in_memory) const;
  bool in_range(uint32_t ip) const { return ip > base_ && ip < base_ + size_ - 1; }

  Random& random_;
  const uint32_t base_, size_;  // IPv4, host order
  const std::string cidr_;
  const int32_t low_, high_;
  storage::KvStore* store_ = nullptr;  // null: it is this process's alone
  mutable std::mutex mutex_;
  std::set<uint32_t> ips_;
  std::set<int32_t> ports_;
};

}  // namespace orch::server
