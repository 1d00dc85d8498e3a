#include "net/netlink/nftables.h"

#include <fmt/format.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace orch::net {

namespace {

// A nested attribute holds at most 64 KiB; an element takes less than 120 bytes.
constexpr size_t kElementsPerMessage = 500;

void put_head(MessageWriter& out, uint8_t family, uint16_t resource) {
  nfgenmsg head{};
  head.nfgen_family = family;
  head.version = NFNETLINK_V0;
  head.res_id = htobe16(resource);
  out.header(head);
}

uint16_t nft_message(uint16_t message) {
  return static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message);
}

void put_element(MessageWriter& out, const NftElement& element, bool with_data) {
  size_t item = out.begin_nest(NFTA_LIST_ELEM);
  size_t key = out.begin_nest(NFTA_SET_ELEM_KEY);
  out.attr(NFTA_DATA_VALUE, element.key);
  out.end_nest(key);
  if (with_data && element.verdict != NftVerdict::kNone) {
    size_t data = out.begin_nest(NFTA_SET_ELEM_DATA);
    size_t verdict = out.begin_nest(NFTA_DATA_VERDICT);
    int code =
        element.verdict == NftVerdict::kAccept ? NF_ACCEPT : static_cast<int>(element.verdict);
    out.attr_be32(NFTA_VERDICT_CODE, static_cast<uint32_t>(code));
    if (!element.chain.empty()) out.attr_text(NFTA_VERDICT_CHAIN, element.chain);
    out.end_nest(verdict);
    out.end_nest(data);
  } else if (with_data && !element.data.empty()) {
    size_t data = out.begin_nest(NFTA_SET_ELEM_DATA);
    out.attr(NFTA_DATA_VALUE, element.data);
    out.end_nest(data);
  }
  out.end_nest(item);
}

}  // namespace

// ---- batch ----

NftBatch::NftBatch(std::string table) : table_(std::move(table)) {
  writer_.begin(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, sequence_++);
  put_head(writer_, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
}

void NftBatch::begin(uint16_t message, uint16_t flags) {
  writer_.begin(nft_message(message), NLM_F_REQUEST | flags, sequence_++);
  put_head(writer_, NFPROTO_IPV4, 0);
  ++messages_;
}

void NftBatch::add_table() {
  begin(NFT_MSG_NEWTABLE, NLM_F_CREATE);
  writer_.attr_text(NFTA_TABLE_NAME, table_);
}

void NftBatch::delete_table() {
  begin(NFT_MSG_DELTABLE, 0);
  writer_.attr_text(NFTA_TABLE_NAME, table_);
}

void NftBatch::add_base_chain(std::string_view name, std::string_view type, NftHook hook,
                              int priority) {
  begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE);
  writer_.attr_text(NFTA_CHAIN_TABLE, table_);
  writer_.attr_text(NFTA_CHAIN_NAME, name);
  size_t nest = writer_.begin_nest(NFTA_CHAIN_HOOK);
  writer_.attr_be32(NFTA_HOOK_HOOKNUM, static_cast<uint32_t>(hook));
  writer_.attr_be32(NFTA_HOOK_PRIORITY, static_cast<uint32_t>(priority));
  writer_.end_nest(nest);
  writer_.attr_be32(NFTA_CHAIN_POLICY, NF_ACCEPT);
  writer_.attr_text(NFTA_CHAIN_TYPE, type);
}

void NftBatch::add_chain(std::string_view name) {
  begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE);
  writer_.attr_text(NFTA_CHAIN_TABLE, table_);
  writer_.attr_text(NFTA_CHAIN_NAME, name);
}

void NftBatch::flush_chain(std::string_view name) {
  begin(NFT_MSG_DELRULE, 0);
  writer_.attr_text(NFTA_RULE_TABLE, table_);
  writer_.attr_text(NFTA_RULE_CHAIN, name);
}

void NftBatch::delete_chain(std::string_view name) {
  begin(NFT_MSG_DELCHAIN, 0);
  writer_.attr_text(NFTA_CHAIN_TABLE, table_);
  writer_.attr_text(NFTA_CHAIN_NAME, name);
}

void NftBatch::add_rule(std::string_view chain, NftRule& rule) {
  begin(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
  writer_.attr_text(NFTA_RULE_TABLE, table_);
  writer_.attr_text(NFTA_RULE_CHAIN, chain);
  size_t nest = writer_.begin_nest(NFTA_RULE_EXPRESSIONS);
  writer_.splice(rule.expressions_);
  writer_.end_nest(nest);
}

void NftBatch::add_set(const NftSet& set) {
  begin(NFT_MSG_NEWSET, NLM_F_CREATE);
  writer_.attr_text(NFTA_SET_TABLE, table_);
  writer_.attr_text(NFTA_SET_NAME, set.name);
  uint32_t flags = 0;
  if (set.verdict_map || set.data_size) flags |= NFT_SET_MAP;
  if (set.dynamic) flags |= NFT_SET_TIMEOUT | NFT_SET_EVAL;
  writer_.attr_be32(NFTA_SET_FLAGS, flags);
  writer_.attr_be32(NFTA_SET_KEY_TYPE, set.key_type);
  writer_.attr_be32(NFTA_SET_KEY_LEN, set.key_size);
  if (set.verdict_map) {
    writer_.attr_be32(NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT);
  } else if (set.data_size) {
    writer_.attr_be32(NFTA_SET_DATA_TYPE, set.data_type);
    writer_.attr_be32(NFTA_SET_DATA_LEN, set.data_size);
  }
  if (set.size_max) {
    size_t nest = writer_.begin_nest(NFTA_SET_DESC);
    writer_.attr_be32(NFTA_SET_DESC_SIZE, set.size_max);
    writer_.end_nest(nest);
  }
  writer_.attr_be32(NFTA_SET_ID, ++set_id_);
}

void NftBatch::elements(uint16_t message, uint16_t flags, std::string_view set,
                        const std::vector<NftElement>& elements) {
  for (size_t at = 0; at < elements.size(); at += kElementsPerMessage) {
    begin(message, flags);
    writer_.attr_text(NFTA_SET_ELEM_LIST_TABLE, table_);
    writer_.attr_text(NFTA_SET_ELEM_LIST_SET, set);
    size_t nest = writer_.begin_nest(NFTA_SET_ELEM_LIST_ELEMENTS);
    size_t end = std::min(elements.size(), at + kElementsPerMessage);
    for (size_t i = at; i < end; ++i) {
      put_element(writer_, elements[i], message == NFT_MSG_NEWSETELEM);
    }
    writer_.end_nest(nest);
  }
}

void NftBatch::add_elements(std::string_view set, const std::vector<NftElement>& list) {
  elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE, set, list);
}

void NftBatch::delete_elements(std::string_view set, const std::vector<NftElement>& list) {
  elements(NFT_MSG_DELSETELEM, 0, set, list);
}

// ---- applying and asking ----

Result<std::unique_ptr<NfTables>, NetError> NfTables::open() {
  ORCH_TRY(auto socket, NetlinkSocket::open(NETLINK_NETFILTER));
  return std::unique_ptr<NfTables>(new NfTables(std::move(socket)));
}

Result<Unit, NetError> NfTables::apply(NftBatch& batch, std::string_view what) {
  batch.writer_.add_flags(NLM_F_ACK);
  uint32_t last = batch.sequence_ - 1;
  batch.writer_.begin(NFNL_MSG_BATCH_END, NLM_F_REQUEST, batch.sequence_++);
  put_head(batch.writer_, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
  batch.size_ = batch.writer_.bytes().size();
  auto done = socket_->batch(batch.writer_, last);
  if (!done) {
    return Err(fmt::format("nf_tables table {}: {}: {} (message {} of {})", batch.table_, what,
                           done.error().describe(), done.error().sequence, last));
  }
  return Unit{};
}

Result<Unit, NetError> NfTables::delete_table(const std::string& table) {
  ORCH_TRY(auto handle, table_handle(table));
  if (!handle) return Unit{};
  NftBatch batch(table);
  batch.delete_table();
  return apply(batch, "delete");
}

Result<std::optional<uint64_t>, NetError> NfTables::table_handle(const std::string& table) {
  MessageWriter message;
  message.begin(nft_message(NFT_MSG_GETTABLE), NLM_F_REQUEST | NLM_F_ACK, socket_->next_sequence());
  put_head(message, NFPROTO_IPV4, 0);
  message.attr_text(NFTA_TABLE_NAME, table);
  std::optional<uint64_t> handle;
  auto done = socket_->query(message, [&](uint16_t, std::string_view payload) {
    if (payload.size() < sizeof(nfgenmsg)) return;
    Attributes attributes(payload.substr(NLMSG_ALIGN(sizeof(nfgenmsg))));
    std::string_view bytes = attributes.get(NFTA_TABLE_HANDLE);
    uint64_t wire = 0;
    if (bytes.size() == sizeof wire) std::memcpy(&wire, bytes.data(), sizeof wire);
    handle = be64toh(wire);
  });
  if (done || done.error().code == ENOENT) return handle;
  return Err(fmt::format("nf_tables table {}: get: {}", table, done.error().describe()));
}

Result<std::vector<NftElement>, NetError> NfTables::elements(const std::string& table,
                                                             const std::string& set) {
  MessageWriter message;
  message.begin(nft_message(NFT_MSG_GETSETELEM), NLM_F_REQUEST | NLM_F_DUMP,
                socket_->next_sequence());
  put_head(message, NFPROTO_IPV4, 0);
  message.attr_text(NFTA_SET_ELEM_LIST_TABLE, table);
  message.attr_text(NFTA_SET_ELEM_LIST_SET, set);
  std::vector<NftElement> found;
  auto done = socket_->query(message, [&](uint16_t, std::string_view payload) {
    if (payload.size() < sizeof(nfgenmsg)) return;
    Attributes attributes(payload.substr(NLMSG_ALIGN(sizeof(nfgenmsg))));
    attributes.nested(NFTA_SET_ELEM_LIST_ELEMENTS).each([&](uint16_t, std::string_view element) {
      Attributes parts(element);
      found.push_back({std::string(parts.nested(NFTA_SET_ELEM_KEY).get(NFTA_DATA_VALUE)),
                       std::string(parts.nested(NFTA_SET_ELEM_DATA).get(NFTA_DATA_VALUE)),
                       NftVerdict::kNone, ""});
    });
  });
  if (done || done.error().code == ENOENT) return found;
  return Err(fmt::format("nf_tables table {}: set {}: {}", table, set, done.error().describe()));
}

}  // namespace orch::net
