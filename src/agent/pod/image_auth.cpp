#include "agent/pod/image_auth.h"

#include <map>

#include "orch/base/strings.h"

namespace orch::agent {
namespace {

// Reads just enough JSON: {"auths": {REGISTRY: {"username": .., "password": .., "auth": ..}}}, or
// the same without "auths" (dockercfg). Malformed text gives what was read before the fault.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  using Entries = std::map<std::string, std::map<std::string, std::string>>;

  Entries read() {
    Entries out;
    object([&](const std::string& key) {
      if (key == "auths") {
        object([&](const std::string& registry) { entry(out[registry]); });
      } else if (peek() == '{') {
        entry(out[key]);
      } else {
        skip_value();
      }
    });
    return out;
  }

 private:
  char peek() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != text_.npos) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }

  template <class Visit>
  void object(Visit visit) {
    if (!take('{') || ++depth_ > 16) return fail();
    while (!failed_ && peek() != '}') {
      std::string key = string();
      if (!take(':')) return fail();
      visit(key);
      if (!take(',')) break;
    }
    --depth_;
    if (!take('}')) fail();
  }

  void entry(std::map<std::string, std::string>& out) {
    object([&](const std::string& key) {
      if (peek() == '"') {
        out[key] = string();
      } else {
        skip_value();
      }
    });
  }

  std::string string() {
    std::string out;
    if (!take('"')) {
      fail();
      return out;
    }
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) {
        char c = text_[++at_];
        out += c == 'n' ? '\n' : c == 't' ? '\t' : c;
      } else {
        out += text_[at_];
      }
      ++at_;
    }
    if (!take('"')) fail();
    return out;
  }

  void skip_value() {
    char c = peek();
    if (c == '"') {
      string();
    } else if (c == '{') {
      object([&](const std::string&) { skip_value(); });
    } else if (c == '[') {
      take('[');
      while (!failed_ && peek() != ']') {
        skip_value();
        if (!take(',')) break;
      }
      if (!take(']')) fail();
    } else {
      size_t from = at_;
      while (at_ < text_.size() && std::string_view(",}] \t\r\n").find(text_[at_]) == text_.npos) {
        ++at_;
      }
      if (at_ == from) fail();
    }
  }

  void fail() {
    failed_ = true;
    at_ = text_.size();
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  bool failed_ = false;
};

// "https://index.docker.io/v1/" -> "docker.io".
std::string host_of(std::string name) {
  for (const char* scheme : {"https://", "http://"}) {
    if (name.starts_with(scheme)) name.erase(0, std::string_view(scheme).size());
  }
  name = name.substr(0, name.find('/'));
  return name == "index.docker.io" || name == "registry-1.docker.io" ? "docker.io" : name;
}

}  // namespace

std::string registry_of(const std::string& image) {
  size_t slash = image.find('/');
  if (slash == std::string::npos) return "docker.io";
  std::string first = image.substr(0, slash);
  const bool is_host = first.find_first_of(".:") != std::string::npos || first == "localhost";
  return is_host ? host_of(first) : "docker.io";
}

std::optional<ImageAuth> find_auth(std::string_view docker_config, const std::string& image) {
  const std::string registry = registry_of(image);
  for (const auto& [name, entry] : Reader(docker_config).read()) {
    if (host_of(name) != registry) continue;
    auto value = [&](const char* key) {
      auto it = entry.find(key);
      return it == entry.end() ? std::string() : it->second;
    };
    ImageAuth out;
    out.username = value("username");
    out.password = value("password");
    out.identity_token = value("identitytoken");
    out.registry_token = value("registrytoken");
    if (auto plain = base64_decode(value("auth")); plain && out.username.empty()) {
      size_t colon = plain->find(':');
      if (colon != std::string::npos) {
        out.username = plain->substr(0, colon);
        out.password = plain->substr(colon + 1);
      }
    }
    return out;
  }
  return std::nullopt;
}

std::optional<ImageAuth> image_auth(const corev1::Pod& pod, const std::string& image,
                                    ObjectSource& objects) {
  for (const auto& reference : pod.spec.imagePullSecrets) {
    auto secret = objects.secret(pod.metadata.namespace_, reference.name);
    if (!secret) continue;
    for (const char* key : {".dockerconfigjson", ".dockercfg"}) {
      auto it = (*secret)->data.find(key);
      if (it == (*secret)->data.end()) continue;
      if (auto auth = find_auth(it->second, image)) return auth;
    }
  }
  return std::nullopt;
}

}  // namespace orch::agent
