// The WebSocket subprotocols of exec and attach: messages whose first byte names a channel. Source:
// KEP-4006 and the kubelet's streaming server. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orch::agent {

enum class Channel : uint8_t { kStdin = 0, kStdout = 1, kStderr = 2, kStatus = 3, kResize = 4 };

struct ChannelProtocol {
  std::string_view name;
  bool base64 = false;       // text messages: a digit, then base64
  bool status_json = false;  // channel 3 carries a metav1.Status; before v4: a failure's text
  bool closes = false;       // message 255 N ends channel N (v5)
};

// The first offered that is known; without an offer channel.k8s.io's unnamed form. Null: none.
const ChannelProtocol* choose_channel_protocol(const std::vector<std::string>& offered);

std::string encode_channel(const ChannelProtocol& protocol, Channel channel,
                           std::string_view bytes);

struct ChannelMessage {
  Channel channel = Channel::kStdin;
  std::string bytes;
  bool close = false;
};
// nullopt = nothing to heed (empty, an unknown channel, broken base64), as upstream does.
std::optional<ChannelMessage> decode_channel(const ChannelProtocol& protocol,
                                             std::string_view message);

// What goes out on channel 3 for a metav1.Status: itself, or by protocols before v4 the message of
// a failure. "" = nothing is sent.
std::string status_payload(const ChannelProtocol& protocol, const std::string& status_json);
// The Status of a stream that broke off.
std::string broken_status(std::string_view why);

}  // namespace orch::agent
