// nf_tables over nfnetlink, family ip: batches of tables, chains, sets, elements and rules, applied
// in one atomic transaction. Rules are written as the kernel's expressions. Private to net.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/netlink/message.h"
#include "net/netlink/socket.h"
#include "orch/base/result.h"
#include "orch/net/host.h"

namespace orch::net {

// Data types as nft(8) numbers them: only for its listing; the kernel compares bytes.
enum class NftType : uint32_t { kIpv4 = 7, kProto = 12, kService = 13, kMark = 19 };
// Six bits a part, as nft packs concatenations.
constexpr uint32_t nft_concat(std::initializer_list<NftType> parts) {
  uint32_t packed = 0;
  for (NftType part : parts) packed = packed << 6 | static_cast<uint32_t>(part);
  return packed;
}

// Set keys and data: every part padded to 4 bytes, addresses and ports in network order.
class NftKey {
 public:
  NftKey& ip(uint32_t address);
  NftKey& proto(uint8_t number);
  NftKey& port(uint16_t number);
  NftKey& number(uint32_t value);  // host order, as numgen yields it
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

enum class NftVerdict : int {
  kNone = 1,
  kDrop = 0,
  kAccept = -100,
  kJump = -3,
  kGoto = -4,
  kReturn = -5
};

struct NftElement {
  std::string key;
  std::string data;                        // maps
  NftVerdict verdict = NftVerdict::kNone;  // verdict maps
  std::string chain;                       // of kJump and kGoto
  bool operator==(const NftElement&) const = default;
  auto operator<=>(const NftElement&) const = default;
};

struct NftSet {
  std::string name;
  uint32_t key_type = 0, key_size = 0;
  bool verdict_map = false;
  uint32_t data_type = 0, data_size = 0;  // 0 = not a map
  bool dynamic = false;                   // filled from the packet path, with timeouts
  uint32_t size_max = 0;                  // dynamic sets
};

// Registers of 4 bytes, 0 to 15. A value longer than 4 bytes goes into the following ones.
class NftRule {
 public:
  NftRule& saddr(int reg) { return payload(kNetwork, 12, 4, reg); }
  NftRule& daddr(int reg) { return payload(kNetwork, 16, 4, reg); }
  NftRule& dport(int reg) { return payload(kTransport, 2, 2, reg); }
  NftRule& l4proto(int reg);
  NftRule& mark(int reg);
  NftRule& set_mark(int reg);
  NftRule& ct_state(int reg);
  NftRule& fib_daddr_type(int reg);
  NftRule& fib_saddr_type(int reg);
  NftRule& ip_literal(int reg, uint32_t address);
  NftRule& mask(int reg, uint32_t network_order_mask);            // reg &= mask
  NftRule& mask_host(int reg, uint32_t mask, uint32_t xor_with);  // reg = reg & mask ^ xor
  NftRule& move(int from, int to, int words);
  NftRule& equals(int reg, std::string_view bytes);
  NftRule& differs(int reg, std::string_view bytes);
  NftRule& equals_u32(int reg, uint32_t host_order);
  NftRule& differs_u32(int reg, uint32_t host_order);
  NftRule& random(int reg, uint32_t modulus, uint32_t offset);
  NftRule& in_set(std::string_view set, int reg);       // or the rule ends here
  NftRule& map(std::string_view map, int reg, int to);  // or the rule ends here
  NftRule& verdict_map(std::string_view map, int reg);
  NftRule& update(std::string_view map, int key, int data, uint32_t timeout_seconds);
  NftRule& erase(std::string_view map, int key);
  NftRule& dnat(int address, int port);
  NftRule& masquerade();
  NftRule& reject_port_unreachable();
  NftRule& reject_tcp_reset();
  NftRule& verdict(NftVerdict verdict, std::string_view chain = "");

 private:
  friend class NftBatch;
  static constexpr uint32_t kNetwork = 1, kTransport = 2;
  NftRule& payload(uint32_t base, uint32_t offset, uint32_t size, int reg);
  NftRule& compare(uint32_t operation, int reg, std::string_view bytes);
  NftRule& bitwise(int from, int to, uint32_t size, std::string_view mask, std::string_view x);
  NftRule& fib(uint32_t flags, int reg);
  NftRule& dynset(uint32_t operation, std::string_view map, int key, int data, uint32_t seconds);
  size_t begin(std::string_view name);
  void end(size_t data);

  MessageWriter expressions_;
  size_t element_ = 0;
};

enum class NftHook : uint32_t {
  kPrerouting = 0,
  kInput = 1,
  kForward = 2,
  kOutput = 3,
  kPostrouting = 4
};

class NftBatch {
 public:
  explicit NftBatch(std::string table);
  void add_table();
  void delete_table();  // must exist: add_table() before makes it so
  void add_base_chain(std::string_view name, std::string_view type, NftHook hook, int priority);
  void add_chain(std::string_view name);
  void flush_chain(std::string_view name);
  void delete_chain(std::string_view name);
  void add_rule(std::string_view chain, NftRule& rule);
  void add_set(const NftSet& set);
  void add_elements(std::string_view set, const std::vector<NftElement>& elements);
  void delete_elements(std::string_view set, const std::vector<NftElement>& elements);
  bool empty() const { return messages_ == 0; }
  size_t size_bytes() const { return size_; }

 private:
  friend class NfTables;
  void begin(uint16_t message, uint16_t flags);
  void elements(uint16_t message, uint16_t flags, std::string_view set,
                const std::vector<NftElement>& elements);
  std::string table_;
  MessageWriter writer_;
  uint32_t sequence_ = 0, messages_ = 0, set_id_ = 0;
  size_t size_ = 0;
};

class NfTables {
 public:
  static Result<std::unique_ptr<NfTables>, NetError> open();
  // All or nothing. `what` leads the error text.
  Result<Unit, NetError> apply(NftBatch& batch, std::string_view what);
  Result<Unit, NetError> delete_table(const std::string& table);  // absent is fine
  // The table's handle: changes when it is deleted and made again.
  Result<std::optional<uint64_t>, NetError> table_handle(const std::string& table);
  // Elements' keys and data (not verdicts). An absent table or set is empty.
  Result<std::vector<NftElement>, NetError> elements(const std::string& table,
                                                     const std::string& set);

 private:
  explicit NfTables(std::unique_ptr<NetlinkSocket> socket) : socket_(std::move(socket)) {}
  std::unique_ptr<NetlinkSocket> socket_;
};

}  // namespace orch::net
