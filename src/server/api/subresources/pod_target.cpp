#include "server/api/subresources/pod_target.h"

#include <fmt/format.h>

namespace orch::server {
namespace {

template <class List>
std::string names(const List& containers) {
  std::string out = "[";
  for (const auto& container : containers) {
    if (out.size() > 1) out += ' ';
    out += container.name;
  }
  return out + "]";
}

template <class List>
bool holds(const List& containers, const std::string& name) {
  for (const auto& container : containers) {
    if (container.name == name) return true;
  }
  return false;
}

}  // namespace

api::ApiResult<std::string> choose_container(const api::corev1::Pod& pod,
                                             const std::string& asked) {
  const auto& spec = pod.spec;
  const std::string& name = pod.metadata.name;
  if (asked.empty()) {
    if (spec.containers.size() == 1) return spec.containers.front().name;
    std::string text =
        fmt::format("a container name must be specified for pod {}, choose one of: {}", name,
                    names(spec.containers));
    if (!spec.initContainers.empty()) {
      text += " or one of the init containers: " + names(spec.initContainers);
    }
    if (!spec.ephemeralContainers.empty()) {
      text += " or one of the ephemeral containers: " + names(spec.ephemeralContainers);
    }
    return Err(api::bad_request(text));
  }
  if (!holds(spec.containers, asked) && !holds(spec.initContainers, asked) &&
      !holds(spec.ephemeralContainers, asked)) {
    return Err(api::bad_request(fmt::format("container {} is not valid for pod {}", asked, name)));
  }
  return asked;
}

std::string make_query(const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::string out;
  for (const auto& [key, value] : pairs) {
    out += out.empty() ? "" : "&";
    out += key + "=" + net::url_encode(value);
  }
  return out;
}

}  // namespace orch::server
