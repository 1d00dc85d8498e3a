#include "net/netlink/conntrack.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <vector>

#include "net/netlink/socket.h"

namespace orch::net {

namespace {

constexpr uint16_t conntrack_message(uint16_t message) {
  return static_cast<uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | message);
}

nfgenmsg head() {
  nfgenmsg head{};
  head.nfgen_family = AF_INET;
  head.version = NFNETLINK_V0;
  return head;
}

ConntrackEntry parse(const Attributes& attributes) {
  ConntrackEntry entry;
  Attributes original = attributes.nested(CTA_TUPLE_ORIG);
  Attributes addresses = original.nested(CTA_TUPLE_IP);
  Attributes transport = original.nested(CTA_TUPLE_PROTO);
  entry.protocol = transport.u8(CTA_PROTO_NUM);
  entry.original_source = addresses.be32(CTA_IP_V4_SRC);
  entry.original_destination = addresses.be32(CTA_IP_V4_DST);
  entry.original_source_port = transport.be16(CTA_PROTO_SRC_PORT);
  entry.original_destination_port = transport.be16(CTA_PROTO_DST_PORT);
  Attributes reply = attributes.nested(CTA_TUPLE_REPLY);
  entry.reply_source = reply.nested(CTA_TUPLE_IP).be32(CTA_IP_V4_SRC);
  entry.reply_source_port = reply.nested(CTA_TUPLE_PROTO).be16(CTA_PROTO_SRC_PORT);
  return entry;
}

struct Doomed {
  std::string tuple, id, zone;
};

}  // namespace

Result<size_t, NetError> flush_conntrack(const std::function<bool(const ConntrackEntry&)>& doomed) {
  ORCH_TRY(auto socket, NetlinkSocket::open(NETLINK_NETFILTER));
  MessageWriter list;
  list.begin(conntrack_message(IPCTNL_MSG_CT_GET), NLM_F_REQUEST | NLM_F_DUMP,
             socket->next_sequence());
  list.header(head());
  std::vector<Doomed> entries;
  auto done = socket->query(list, [&](uint16_t, std::string_view payload) {
    if (payload.size() < sizeof(nfgenmsg)) return;
    Attributes attributes(payload.substr(NLMSG_ALIGN(sizeof(nfgenmsg))));
    if (!doomed(parse(attributes))) return;
    entries.push_back({std::string(attributes.get(CTA_TUPLE_ORIG)),
                       std::string(attributes.get(CTA_ID)), std::string(attributes.get(CTA_ZONE))});
  });
  if (!done) return Err("conntrack: list: " + done.error().describe());
  size_t deleted = 0;
  for (const Doomed& entry : entries) {
    MessageWriter message;
    message.begin(conntrack_message(IPCTNL_MSG_CT_DELETE), NLM_F_REQUEST | NLM_F_ACK,
                  socket->next_sequence());
    message.header(head());
    message.attr(CTA_TUPLE_ORIG | NLA_F_NESTED, entry.tuple);
    if (!entry.id.empty()) message.attr(CTA_ID, entry.id);
    if (!entry.zone.empty()) message.attr(CTA_ZONE, entry.zone);
    auto gone = socket->transact(message);
    // It may have timed out in between.
    if (!gone && gone.error().code != ENOENT) {
      return Err("conntrack: delete: " + gone.error().describe());
    }
    deleted += gone.has_value();
  }
  return deleted;
}

}  // namespace orch::net
