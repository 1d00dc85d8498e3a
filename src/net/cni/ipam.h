// Host-local addresses: one file per reserved address, named by it, holding container, interface
// and namespace. Every change happens under an flock; a file torn by a kill is no reservation.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orch/base/result.h"
#include "orch/net/netlink.h"

namespace orch::net {

struct Reservation {
  uint32_t address = 0;
  std::string container, interface, netns;
};

class AddressPool {
 public:
  // Creates `dir` and waits for its lock, held until destruction.
  static Result<std::unique_ptr<AddressPool>, NetError> open(const std::string& dir,
                                                             Ipv4Prefix range);
  ~AddressPool();
  AddressPool(const AddressPool&) = delete;
  AddressPool& operator=(const AddressPool&) = delete;

  // The address this container already has, else the next free one, in rotation. When none is free,
  // those whose namespace is gone are taken back; `reclaimed` is told of each.
  Result<uint32_t, NetError> reserve(const Reservation& wanted,
                                     const std::function<void(uint32_t)>& reclaimed);
  // Frees the container's addresses and returns them.
  Result<std::vector<uint32_t>, NetError> release(const std::string& container,
                                                  const std::string& interface);
  Result<std::vector<Reservation>, NetError> list() const;

 private:
  AddressPool(std::string dir, Ipv4Prefix range, int lock);
  std::string file_of(uint32_t address) const;
  Result<Unit, NetError> write_reservation(uint32_t address, const Reservation& wanted);
  std::string dir_;
  Ipv4Prefix range_;
  int lock_;
};

// False once the namespace's mount (or its process) is gone.
bool netns_exists(const std::string& path);

}  // namespace orch::net
