#include "orch/base/strings.h"
#include "server/api/call.h"
#include "server/registry/registry.h"

namespace orch::server {
namespace {

std::string_view verb_of(std::string_view method) {
  if (method == "GET" || method == "HEAD") return "get";
  if (method == "POST") return "create";
  if (method == "PUT") return "update";
  if (method == "PATCH") return "patch";
  if (method == "DELETE") return "delete";
  return "";
}

bool truthy(std::string_view value) {
  // Go's conversion: everything but "false" and "0" is true, also the empty value.
  const std::string lower = to_lower(value);
  return lower != "false" && lower != "0";
}

// Segments of a path; empty ones (trailing slash) are left out.
std::vector<std::string_view> segments_of(std::string_view path) {
  std::vector<std::string_view> out;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    if (slash != 0) out.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return out;
}

void set_collection_verb(RequestInfo& info, const net::Query& query) {
  if (info.verb == "get") {
    info.verb = "list";
    const auto watch = query.find("watch");
    if (watch != query.end() && truthy(watch->second)) info.verb = "watch";
    auto fields = api::FieldSelector::parse(net::query_value(query, "fieldSelector"));
    if (fields) {
      if (auto name = fields->exact("metadata.name")) info.name = *name;
    }
  } else if (info.verb == "delete") {
    info.verb = "deletecollection";
  }
}

}  // namespace

bool Call::flag(std::string_view name) const {
  const auto it = query.find(name);
  return it != query.end() && truthy(it->second);
}

RequestInfo parse_request(std::string_view method, std::string_view path, const net::Query& query) {
  RequestInfo info;
  info.path = path;
  info.verb = to_lower(method);
  auto parts = segments_of(path);
  if (parts.size() < 3 || (parts[0] != "api" && parts[0] != "apis")) return info;
  size_t at = 1;
  if (parts[0] == "apis") {
    if (parts.size() < 4) return info;
    info.group = parts[at++];
  }
  info.version = parts[at++];
  info.is_resource = true;
  info.verb = verb_of(method).empty() ? to_lower(method) : std::string(verb_of(method));
  bool watch_prefix = false;
  if (parts[at] == "watch" && parts.size() > at + 1) {  // the old /watch/ paths
    watch_prefix = true;
    ++at;
  } else if (parts[at] == "proxy" && parts.size() > at + 1) {
    info.verb = "proxy";
    ++at;
  }
  if (parts[at] == "namespaces" && parts.size() > at + 1) {
    info.namespace_ = parts[at + 1];
    const bool of_namespace =
        parts.size() == at + 2 || parts[at + 2] == "status" || parts[at + 2] == "finalize";
    if (!of_namespace) at += 2;
  }
  info.resource = parts[at];
  if (parts.size() > at + 1) info.name = parts[at + 1];
  if (parts.size() > at + 2) info.subresource = parts[at + 2];
  if (parts.size() > at + 3 || (!info.subresource.empty() && path.ends_with('/'))) {
    const size_t offset = static_cast<size_t>(parts[at + 2].data() - path.data());
    info.subresource_path = path.substr(offset + parts[at + 2].size());
  }
  if (info.name.empty()) {
    set_collection_verb(info, query);
  }
  if (watch_prefix) info.verb = "watch";
  return info;
}

std::string default_field_manager(const Call& call) {
  std::string_view agent = call.user_agent;
  if (agent.empty() && call.http == nullptr) {
    agent = call.user.name;
    const size_t colon = agent.rfind(':');
    if (colon != std::string_view::npos) agent.remove_prefix(colon + 1);
  }
  std::string out;
  for (const char c : agent.substr(0, agent.find('/'))) {
    const auto u = static_cast<unsigned char>(c);
    if (u >= 0x20 && u != 0x7F && out.size() < 128) out += c;
  }
  return out.empty() ? "unknown" : out;
}

}  // namespace orch::server
