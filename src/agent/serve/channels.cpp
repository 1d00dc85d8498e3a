#include "agent/serve/channels.h"

#include "orch/api/json_value.h"
#include "orch/base/strings.h"

namespace orch::agent {
namespace {

constexpr char kCloseSignal = static_cast<char>(255);
constexpr uint8_t kChannels = 5;

constexpr ChannelProtocol kProtocols[] = {
    {"v5.channel.k8s.io", false, true, true},        {"v4.channel.k8s.io", false, true, false},
    {"v4.base64.channel.k8s.io", true, true, false}, {"channel.k8s.io", false, false, false},
    {"base64.channel.k8s.io", true, false, false},   {"", false, false, false},
};

}  // namespace

const ChannelProtocol* choose_channel_protocol(const std::vector<std::string>& offered) {
  const auto find = [](std::string_view name) -> const ChannelProtocol* {
    for (const ChannelProtocol& protocol : kProtocols) {
      if (protocol.name == name) return &protocol;
    }
    return nullptr;
  };
  if (offered.empty()) return find("");
  for (const std::string& name : offered) {
    if (const auto* found = find(name)) return found;
  }
  return nullptr;
}

std::string encode_channel(const ChannelProtocol& protocol, Channel channel,
                           std::string_view bytes) {
  const auto number = static_cast<char>(channel);
  if (protocol.base64)
    return std::string(1, static_cast<char>('0' + number)) + base64_encode(bytes);
  return std::string(1, number).append(bytes);
}

std::optional<ChannelMessage> decode_channel(const ChannelProtocol& protocol,
                                             std::string_view message) {
  if (message.empty()) return std::nullopt;
  ChannelMessage out;
  uint8_t number = static_cast<uint8_t>(message[0]);
  if (protocol.closes && message[0] == kCloseSignal) {
    if (message.size() != 2) return std::nullopt;
    out.close = true;
    number = static_cast<uint8_t>(message[1]);
  } else if (protocol.base64) {
    number = static_cast<uint8_t>(number - '0');
    auto bytes = base64_decode(message.substr(1));
    if (!bytes) return std::nullopt;
    out.bytes = std::move(*bytes);
  } else {
    out.bytes = message.substr(1);
  }
  if (number >= kChannels) return std::nullopt;
  out.channel = static_cast<Channel>(number);
  return out;
}

std::string status_payload(const ChannelProtocol& protocol, const std::string& status_json) {
  if (protocol.status_json) return status_json;
  const auto status = api::JsonValue::parse(status_json);
  if (!status) return status_json;
  if (status->get("status").text() == "Success") return "";
  return status->get("message").text();
}

std::string broken_status(std::string_view why) {
  const std::string message = api::JsonValue(why).dump();
  const std::string whole = api::JsonValue("Internal error occurred: " + std::string(why)).dump();
  return R"({"metadata":{},"status":"Failure","message":)" + whole +
         R"(,"reason":"InternalError","details":{"causes":[{"message":)" + message +
         R"(}]},"code":500})";
}

}  // namespace orch::agent
