#include "agent/pod/environment.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/base/strings.h"

namespace orch::agent {
namespace {

Error config_error(std::string message) { return {Error::Code::kConfig, std::move(message)}; }

// Names of variables: printable ASCII without '=' (KEP-4369).
bool is_variable_name(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return c >= 0x20 && c < 0x7f && c != '=';
  });
}

class Builder {
 public:
  Builder(const EnvironmentInput& input, ObjectSource& objects)
      : input_(input),
        objects_(objects),
        service_env_(service_environment(input.pod, input.services)) {}

  Result<Environment, Error> build() {
    for (const auto& source : input_.container.envFrom) ORCH_CHECK(add_from(source));
    for (const auto& variable : input_.container.env) {
      if (!variable.valueFrom) {
        set(variable.name,
            expand(variable.value, [this](const std::string& n) { return find(n); }));
        continue;
      }
      ORCH_TRY(auto value, value_from(*variable.valueFrom));
      if (value) set(variable.name, std::move(*value));
    }
    for (const auto& [name, value] : service_env_) {
      if (find_own(name) == nullptr) out_.variables.emplace_back(name, value);
    }
    return std::move(out_);
  }

 private:
  void set(const std::string& name, std::string value) {
    for (auto& [n, v] : out_.variables) {
      if (n == name) {
        v = std::move(value);
        return;
      }
    }
    out_.variables.emplace_back(name, std::move(value));
  }
  const std::string* find_own(const std::string& name) const {
    for (const auto& [n, v] : out_.variables) {
      if (n == name) return &v;
    }
    return nullptr;
  }
  const std::string* find(const std::string& name) const {
    if (const std::string* own = find_own(name)) return own;
    auto it = service_env_.find(name);
    return it == service_env_.end() ? nullptr : &it->second;
  }

  void add_all(const std::map<std::string, std::string>& data, const std::string& prefix,
               std::string_view what, const std::string& name) {
    std::vector<std::string> invalid;
    for (const auto& [key, value] : data) {
      if (is_variable_name(prefix + key)) {
        set(prefix + key, value);
      } else {
        invalid.push_back(prefix + key);
      }
    }
    if (invalid.empty()) return;
    out_.warnings.push_back(fmt::format(
        "Keys [{}] from the EnvFrom {} {}/{} were skipped since they are considered invalid "
        "environment variable names.",
        join(invalid, ", "), what, input_.pod.metadata.namespace_, name));
  }

  Result<Unit, Error> add_from(const corev1::EnvFromSource& source) {
    const std::string& ns = input_.pod.metadata.namespace_;
    if (source.configMapRef) {
      auto map = objects_.config_map(ns, source.configMapRef->name);
      if (map) {
        add_all((*map)->data, source.prefix, "configMap", source.configMapRef->name);
      } else if (!missing_is_fine(map.error(), source.configMapRef->optional)) {
        return Err(std::move(map).error());
      }
    } else if (source.secretRef) {
      auto secret = objects_.secret(ns, source.secretRef->name);
      if (secret) {
        add_all((*secret)->data, source.prefix, "secret", source.secretRef->name);
      } else if (!missing_is_fine(secret.error(), source.secretRef->optional)) {
        return Err(std::move(secret).error());
      }
    }
    return Unit{};
  }

  static bool missing_is_fine(const Error& error, const std::optional<bool>& optional) {
    return error.code == Error::Code::kNotFound && optional.value_or(false);
  }

  // nullopt = an optional source that is not there: the variable is left out.
  Result<std::optional<std::string>, Error> value_from(const corev1::EnvVarSource& source) {
    if (source.fieldRef) {
      ORCH_TRY(auto value, field_value(input_.pod, source.fieldRef->fieldPath, input_.addresses));
      return std::optional(std::move(value));
    }
    if (source.resourceFieldRef) {
      ORCH_TRY(auto value, resource_value(input_.pod, *source.resourceFieldRef, &input_.container,
                                          input_.allocatable));
      return std::optional(std::move(value));
    }
    const std::string& ns = input_.pod.metadata.namespace_;
    if (source.configMapKeyRef) {
      const auto& ref = *source.configMapKeyRef;
      auto map = objects_.config_map(ns, ref.name);
      return from_key(map, ref.name, ref.key, ref.optional, "ConfigMap");
    }
    if (source.secretKeyRef) {
      const auto& ref = *source.secretKeyRef;
      auto secret = objects_.secret(ns, ref.name);
      return from_key(secret, ref.name, ref.key, ref.optional, "Secret");
    }
    return Err(config_error("environment variable source is empty"));
  }

  template <class Object>
  Result<std::optional<std::string>, Error> from_key(
      const Result<std::shared_ptr<const Object>, Error>& object, const std::string& name,
      const std::string& key, const std::optional<bool>& optional, std::string_view kind) {
    if (!object) {
      if (missing_is_fine(object.error(), optional)) return std::optional<std::string>{};
      return Err(Error(object.error()));
    }
    auto it = (*object)->data.find(key);
    if (it != (*object)->data.end()) return std::optional(it->second);
    if (optional.value_or(false)) return std::optional<std::string>{};
    return Err(config_error(fmt::format("couldn't find key {} in {} {}/{}", key, kind,
                                        input_.pod.metadata.namespace_, name)));
  }

  const EnvironmentInput& input_;
  ObjectSource& objects_;
  const std::map<std::string, std::string> service_env_;
  Environment out_;
};

std::string upper_name(std::string_view name) {
  std::string out(name);
  for (char& c : out) {
    c = c == '-' || c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return out;
}

}  // namespace

Result<Environment, Error> make_environment(const EnvironmentInput& input, ObjectSource& objects) {
  return Builder(input, objects).build();
}

std::string expand(std::string_view text,
                   const std::function<const std::string*(const std::string&)>& find) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i];
    } else if (text[i + 1] == '$') {
      out += '$';
      ++i;
    } else if (text[i + 1] == '(') {
      size_t end = text.find(')', i + 2);
      if (end == std::string_view::npos) {  // not closed: as it stands
        out += "$(";
        ++i;
        continue;
      }
      std::string name(text.substr(i + 2, end - i - 2));
      const std::string* value = find(name);
      out += value != nullptr ? *value : "$(" + name + ")";
      i = end;
    } else {
      out += '$';
      out += text[++i];
    }
  }
  return out;
}

std::vector<std::string> expand_all(const std::vector<std::string>& words, const Variables& env) {
  std::vector<std::string> out;
  for (const auto& word : words) {
    out.push_back(expand(word, [&](const std::string& name) -> const std::string* {
      for (const auto& [n, v] : env) {
        if (n == name) return &v;
      }
      return nullptr;
    }));
  }
  return out;
}

std::map<std::string, std::string> service_environment(
    const corev1::Pod& pod, const std::vector<std::shared_ptr<const corev1::Service>>& services) {
  std::map<std::string, std::string> out;
  const bool links = pod.spec.enableServiceLinks.value_or(true);
  // The namespace's own services win over default/kubernetes.
  for (int round = 0; round < 2; ++round) {
    for (const auto& service : services) {
      const auto& m = service->metadata;
      const bool master = m.namespace_ == "default" && m.name == "kubernetes";
      const bool own = links && m.namespace_ == pod.metadata.namespace_;
      if (round == 0 ? !own : !(master && !own)) continue;
      const std::string& ip = service->spec.clusterIP;
      if (ip.empty() || ip == "None" || service->spec.ports.empty()) continue;
      const std::string name = upper_name(m.name);
      const std::string host = ip.find(':') == std::string::npos ? ip : "[" + ip + "]";
      const auto& first = service->spec.ports[0];
      auto protocol = [](const corev1::ServicePort& p) {
        return p.protocol.empty() ? std::string("TCP") : p.protocol;
      };
      out.try_emplace(name + "_SERVICE_HOST", ip);
      out.try_emplace(name + "_SERVICE_PORT", std::to_string(first.port));
      out.try_emplace(name + "_PORT",
                      fmt::format("{}://{}:{}", to_lower(protocol(first)), host, first.port));
      for (const auto& port : service->spec.ports) {
        if (!port.name.empty()) {
          out.try_emplace(name + "_SERVICE_PORT_" + upper_name(port.name),
                          std::to_string(port.port));
        }
        const std::string prefix = fmt::format("{}_PORT_{}_{}", name, port.port, protocol(port));
        const std::string lower = to_lower(protocol(port));
        out.try_emplace(prefix, fmt::format("{}://{}:{}", lower, host, port.port));
        out.try_emplace(prefix + "_PROTO", lower);
        out.try_emplace(prefix + "_PORT", std::to_string(port.port));
        out.try_emplace(prefix + "_ADDR", ip);
      }
    }
  }
  return out;
}

}  // namespace orch::agent
