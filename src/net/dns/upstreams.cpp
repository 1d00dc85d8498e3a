#include "net/dns/upstreams.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "orch/base/file.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"

namespace orch::net::dns {

namespace {
constexpr std::chrono::seconds kCheckEvery{5};
}

bool SocketAddress::operator==(const SocketAddress& other) const {
  return size == other.size && std::memcmp(&storage, &other.storage, size) == 0;
}

std::optional<SocketAddress> parse_socket_address(std::string_view text, uint16_t port) {
  std::string host(text);
  size_t colon = text.rfind(':');
  bool bracketed = text.starts_with('[');
  bool has_port = colon != std::string_view::npos &&
                  (bracketed ? text[colon - 1] == ']' : text.find(':') == colon);
  if (has_port) {
    auto number = parse_int(text.substr(colon + 1));
    if (!number || *number < 1 || *number > 65535) return std::nullopt;
    port = static_cast<uint16_t>(*number);
    host = std::string(text.substr(0, colon));
  }
  if (bracketed) {
    if (host.size() < 2 || host.back() != ']') return std::nullopt;
    host = host.substr(1, host.size() - 2);
  }
  SocketAddress address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.size = sizeof *v4;
  } else if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.size = sizeof *v6;
  } else {
    return std::nullopt;
  }
  return address;
}

std::vector<std::string> nameservers_of(std::string_view resolv_conf) {
  std::vector<std::string> found;
  for (const std::string& line : split(resolv_conf, '\n')) {
    std::string_view text = trim(line);
    constexpr std::string_view kKeyword = "nameserver";
    if (!text.starts_with(kKeyword)) continue;
    text.remove_prefix(kKeyword.size());
    if (text.empty() || (text[0] != ' ' && text[0] != '\t')) continue;
    text = trim(text);
    size_t end = text.find_first_of(" \t");
    found.emplace_back(text.substr(0, end));
  }
  return found;
}

Upstreams::Upstreams(const std::vector<std::string>& configured, std::string resolv_conf,
                     SocketAddress self)
    : path_(std::move(resolv_conf)), self_(self), fixed_(!configured.empty()) {
  if (fixed_) set(configured);
}

void Upstreams::set(const std::vector<std::string>& texts) {
  list_.clear();
  for (const std::string& text : texts) {
    auto address = parse_socket_address(text, 53);
    if (!address) {
      log::warn("dns", "invalid upstream \"{}\" is left out", text);
    } else if (*address == self_) {
      log::warn("dns", "upstream {} is this server itself and is left out", text);
    } else {
      list_.push_back(*address);
    }
  }
}

const std::vector<SocketAddress>& Upstreams::current(std::chrono::steady_clock::time_point now) {
  if (fixed_ || now < next_check_) return list_;
  next_check_ = now + kCheckEvery;
  struct stat info {};
  if (stat(path_.c_str(), &info) != 0) return list_;
  int64_t changed = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
  if (changed == changed_ns_) return list_;
  if (auto text = read_file(path_)) {
    changed_ns_ = changed;
    set(nameservers_of(*text));
  }
  return list_;
}

}  // namespace orch::net::dns
