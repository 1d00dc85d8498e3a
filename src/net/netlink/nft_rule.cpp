#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>

#include <cstring>

#include "net/netlink/nftables.h"

namespace orch::net {

namespace {

uint32_t reg32(int reg) { return NFT_REG32_00 + static_cast<uint32_t>(reg); }

std::string host_bytes(uint32_t value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_data(MessageWriter& out, uint16_t type, std::string_view bytes) {
  size_t nest = out.begin_nest(type);
  out.attr(NFTA_DATA_VALUE, bytes);
  out.end_nest(nest);
}

}  // namespace

// ---- keys ----

NftKey& NftKey::ip(uint32_t address) {
  uint32_t wire = htobe32(address);
  bytes_.append(reinterpret_cast<const char*>(&wire), 4);
  return *this;
}
NftKey& NftKey::proto(uint8_t number) {
  bytes_.push_back(static_cast<char>(number));
  bytes_.append(3, '\0');
  return *this;
}
NftKey& NftKey::port(uint16_t number) {
  uint16_t wire = htobe16(number);
  bytes_.append(reinterpret_cast<const char*>(&wire), 2);
  bytes_.append(2, '\0');
  return *this;
}
NftKey& NftKey::number(uint32_t value) {
  bytes_ += host_bytes(value);
  return *this;
}

// ---- expressions ----

size_t NftRule::begin(std::string_view name) {
  element_ = expressions_.begin_nest(NFTA_LIST_ELEM);
  expressions_.attr_text(NFTA_EXPR_NAME, name);
  return expressions_.begin_nest(NFTA_EXPR_DATA);
}

void NftRule::end(size_t data) {
  expressions_.end_nest(data);
  expressions_.end_nest(element_);
}

NftRule& NftRule::payload(uint32_t base, uint32_t offset, uint32_t size, int reg) {
  size_t data = begin("payload");
  expressions_.attr_be32(NFTA_PAYLOAD_DREG, reg32(reg));
  expressions_.attr_be32(NFTA_PAYLOAD_BASE, base);
  expressions_.attr_be32(NFTA_PAYLOAD_OFFSET, offset);
  expressions_.attr_be32(NFTA_PAYLOAD_LEN, size);
  end(data);
  return *this;
}

NftRule& NftRule::l4proto(int reg) {
  size_t data = begin("meta");
  expressions_.attr_be32(NFTA_META_KEY, NFT_META_L4PROTO);
  expressions_.attr_be32(NFTA_META_DREG, reg32(reg));
  end(data);
  return *this;
}

NftRule& NftRule::mark(int reg) {
  size_t data = begin("meta");
  expressions_.attr_be32(NFTA_META_KEY, NFT_META_MARK);
  expressions_.attr_be32(NFTA_META_DREG, reg32(reg));
  end(data);
  return *this;
}

NftRule& NftRule::set_mark(int reg) {
  size_t data = begin("meta");
  expressions_.attr_be32(NFTA_META_KEY, NFT_META_MARK);
  expressions_.attr_be32(NFTA_META_SREG, reg32(reg));
  end(data);
  return *this;
}

NftRule& NftRule::ct_state(int reg) {
  size_t data = begin("ct");
  expressions_.attr_be32(NFTA_CT_KEY, NFT_CT_STATE);
  expressions_.attr_be32(NFTA_CT_DREG, reg32(reg));
  end(data);
  return *this;
}

NftRule& NftRule::fib(uint32_t flags, int reg) {
  size_t data = begin("fib");
  expressions_.attr_be32(NFTA_FIB_DREG, reg32(reg));
  expressions_.attr_be32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
  expressions_.attr_be32(NFTA_FIB_FLAGS, flags);
  end(data);
  return *this;
}
NftRule& NftRule::fib_daddr_type(int reg) { return fib(NFTA_FIB_F_DADDR, reg); }
NftRule& NftRule::fib_saddr_type(int reg) { return fib(NFTA_FIB_F_SADDR, reg); }

NftRule& NftRule::ip_literal(int reg, uint32_t address) {
  size_t data = begin("immediate");
  expressions_.attr_be32(NFTA_IMMEDIATE_DREG, reg32(reg));
  put_data(expressions_, NFTA_IMMEDIATE_DATA, NftKey().ip(address).bytes());
  end(data);
  return *this;
}

NftRule& NftRule::bitwise(int from, int to, uint32_t size, std::string_view mask,
                          std::string_view x) {
  size_t data = begin("bitwise");
  expressions_.attr_be32(NFTA_BITWISE_SREG, reg32(from));
  expressions_.attr_be32(NFTA_BITWISE_DREG, reg32(to));
  expressions_.attr_be32(NFTA_BITWISE_LEN, size);
  put_data(expressions_, NFTA_BITWISE_MASK, mask);
  put_data(expressions_, NFTA_BITWISE_XOR, x);
  end(data);
  return *this;
}

NftRule& NftRule::mask(int reg, uint32_t network_order_mask) {
  return bitwise(reg, reg, 4, NftKey().ip(network_order_mask).bytes(), host_bytes(0));
}
NftRule& NftRule::mask_host(int reg, uint32_t mask, uint32_t xor_with) {
  return bitwise(reg, reg, 4, host_bytes(mask), host_bytes(xor_with));
}
NftRule& NftRule::move(int from, int to, int words) {
  size_t size = static_cast<size_t>(words) * 4;
  return bitwise(from, to, static_cast<uint32_t>(size), std::string(size, '\xff'),
                 std::string(size, '\0'));
}

NftRule& NftRule::compare(uint32_t operation, int reg, std::string_view bytes) {
  size_t data = begin("cmp");
  expressions_.attr_be32(NFTA_CMP_SREG, reg32(reg));
  expressions_.attr_be32(NFTA_CMP_OP, operation);
  put_data(expressions_, NFTA_CMP_DATA, bytes);
  end(data);
  return *this;
}
NftRule& NftRule::equals(int reg, std::string_view bytes) {
  return compare(NFT_CMP_EQ, reg, bytes);
}
NftRule& NftRule::differs(int reg, std::string_view bytes) {
  return compare(NFT_CMP_NEQ, reg, bytes);
}
NftRule& NftRule::equals_u32(int reg, uint32_t host_order) {
  return equals(reg, host_bytes(host_order));
}
NftRule& NftRule::differs_u32(int reg, uint32_t host_order) {
  return differs(reg, host_bytes(host_order));
}

NftRule& NftRule::random(int reg, uint32_t modulus, uint32_t offset) {
  size_t data = begin("numgen");
  expressions_.attr_be32(NFTA_NG_DREG, reg32(reg));
  expressions_.attr_be32(NFTA_NG_MODULUS, modulus);
  expressions_.attr_be32(NFTA_NG_TYPE, NFT_NG_RANDOM);
  expressions_.attr_be32(NFTA_NG_OFFSET, offset);
  end(data);
  return *this;
}

NftRule& NftRule::in_set(std::string_view set, int reg) {
  size_t data = begin("lookup");
  expressions_.attr_text(NFTA_LOOKUP_SET, set);
  expressions_.attr_be32(NFTA_LOOKUP_SREG, reg32(reg));
  end(data);
  return *this;
}
NftRule& NftRule::map(std::string_view map, int reg, int to) {
  size_t data = begin("lookup");
  expressions_.attr_text(NFTA_LOOKUP_SET, map);
  expressions_.attr_be32(NFTA_LOOKUP_SREG, reg32(reg));
  expressions_.attr_be32(NFTA_LOOKUP_DREG, reg32(to));
  end(data);
  return *this;
}
NftRule& NftRule::verdict_map(std::string_view map, int reg) {
  size_t data = begin("lookup");
  expressions_.attr_text(NFTA_LOOKUP_SET, map);
  expressions_.attr_be32(NFTA_LOOKUP_SREG, reg32(reg));
  expressions_.attr_be32(NFTA_LOOKUP_DREG, NFT_REG_VERDICT);
  end(data);
  return *this;
}

NftRule& NftRule::dynset(uint32_t operation, std::string_view map, int key, int value,
                         uint32_t seconds) {
  size_t data = begin("dynset");
  expressions_.attr_text(NFTA_DYNSET_SET_NAME, map);
  expressions_.attr_be32(NFTA_DYNSET_OP, operation);
  expressions_.attr_be32(NFTA_DYNSET_SREG_KEY, reg32(key));
  expressions_.attr_be32(NFTA_DYNSET_SREG_DATA, reg32(value));
  if (seconds) expressions_.attr_be64(NFTA_DYNSET_TIMEOUT, uint64_t{seconds} * 1000);
  end(data);
  return *this;
}
NftRule& NftRule::update(std::string_view map, int key, int data, uint32_t timeout_seconds) {
  return dynset(NFT_DYNSET_OP_UPDATE, map, key, data, timeout_seconds);
}
NftRule& NftRule::erase(std::string_view map, int key) {
  // The kernel wants a data register for a map even here; it does not read it.
  return dynset(NFT_DYNSET_OP_DELETE, map, key, key, 0);
}

NftRule& NftRule::dnat(int address, int port) {
  size_t data = begin("nat");
  expressions_.attr_be32(NFTA_NAT_TYPE, NFT_NAT_DNAT);
  expressions_.attr_be32(NFTA_NAT_FAMILY, NFPROTO_IPV4);
  expressions_.attr_be32(NFTA_NAT_REG_ADDR_MIN, reg32(address));
  expressions_.attr_be32(NFTA_NAT_REG_PROTO_MIN, reg32(port));
  end(data);
  return *this;
}

NftRule& NftRule::masquerade() {
  size_t data = begin("masq");
  expressions_.attr_be32(NFTA_MASQ_FLAGS, NF_NAT_RANGE_PROTO_RANDOM_FULLY);
  end(data);
  return *this;
}

NftRule& NftRule::reject_port_unreachable() {
  size_t data = begin("reject");
  expressions_.attr_be32(NFTA_REJECT_TYPE, NFT_REJECT_ICMP_UNREACH);
  expressions_.attr_u8(NFTA_REJECT_ICMP_CODE, 3);  // RFC 792: port unreachable
  end(data);
  return *this;
}

NftRule& NftRule::reject_tcp_reset() {
  size_t data = begin("reject");
  expressions_.attr_be32(NFTA_REJECT_TYPE, NFT_REJECT_TCP_RST);
  end(data);
  return *this;
}

NftRule& NftRule::verdict(NftVerdict verdict, std::string_view chain) {
  size_t data = begin("immediate");
  expressions_.attr_be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
  size_t value = expressions_.begin_nest(NFTA_IMMEDIATE_DATA);
  size_t inner = expressions_.begin_nest(NFTA_DATA_VERDICT);
  int code = verdict == NftVerdict::kAccept ? NF_ACCEPT : static_cast<int>(verdict);
  expressions_.attr_be32(NFTA_VERDICT_CODE, static_cast<uint32_t>(code));
  if (!chain.empty()) expressions_.attr_text(NFTA_VERDICT_CHAIN, chain);
  expressions_.end_nest(inner);
  expressions_.end_nest(value);
  end(data);
  return *this;
}

}  // namespace orch::net
