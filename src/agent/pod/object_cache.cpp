#include "agent/pod/object_cache.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "orch/api/authenticationv1.h"  // generated
#include "orch/api/codec.h"
#include "orch/api/volume_binding.h"
#include "orch/base/file.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"

namespace orch::agent {
namespace {

namespace fs = std::filesystem;

// No answer about the object itself: the last copy is still the best there is.
bool is_outage(const api::Error& error) { return error.code >= 500 || error.code == 429; }

constexpr const char* kClaims = "persistentvolumeclaims";
constexpr const char* kVolumes = "persistentvolumes";

std::string key_of(std::string_view kind, const std::string& ns, const std::string& name) {
  return fmt::format("{}_{}_{}", kind, ns, name);
}

std::string token_key(const std::string& uid, const std::string& audience, int64_t seconds) {
  return fmt::format("token_{}_{:08x}", uid, fnv1a32(fmt::format("{} {}", audience, seconds)));
}

void add_references(const corev1::Pod& pod, std::set<std::string>& keys) {
  const std::string& ns = pod.metadata.namespace_;
  for (const auto& c : all_containers(pod)) {
    for (const auto& from : c.spec.envFrom) {
      if (from.configMapRef) keys.insert(key_of("configmap", ns, from.configMapRef->name));
      if (from.secretRef) keys.insert(key_of("secret", ns, from.secretRef->name));
    }
    for (const auto& variable : c.spec.env) {
      if (!variable.valueFrom) continue;
      const auto& from = *variable.valueFrom;
      if (from.configMapKeyRef) keys.insert(key_of("configmap", ns, from.configMapKeyRef->name));
      if (from.secretKeyRef) keys.insert(key_of("secret", ns, from.secretKeyRef->name));
    }
  }
  for (const auto& volume : pod.spec.volumes) {
    if (volume.configMap) keys.insert(key_of("configmap", ns, volume.configMap->name));
    if (volume.secret) keys.insert(key_of("secret", ns, volume.secret->secretName));
    if (const std::string claim = api::claim_name_of(pod, volume); !claim.empty()) {
      keys.insert(key_of(kClaims, ns, claim));
    }
    if (!volume.projected) continue;
    for (const auto& source : volume.projected->sources) {
      if (source.configMap) keys.insert(key_of("configmap", ns, source.configMap->name));
      if (source.secret) keys.insert(key_of("secret", ns, source.secret->name));
      if (source.serviceAccountToken) {
        keys.insert(token_key(pod.metadata.uid, source.serviceAccountToken->audience,
                              source.serviceAccountToken->expirationSeconds.value_or(3600)));
      }
    }
  }
  for (const auto& pull_secret : pod.spec.imagePullSecrets) {
    keys.insert(key_of("secret", ns, pull_secret.name));
  }
}

}  // namespace

ObjectCache::ObjectCache(Env& env, client::Transport& transport, std::string directory)
    : env_(env), client_(transport), directory_(std::move(directory)) {
  if (auto made = make_directories(directory_, 0700); !made) {
    log::warn("agent", "{}", made.error());
  }
}

std::string ObjectCache::file_of(const std::string& key) const {
  return directory_ + "/" + key + ".json";
}

void ObjectCache::save(const std::string& key, const std::string& json) {
  const std::string file = file_of(key);
  if (auto present = read_file(file); present && *present == json) return;
  if (auto written = write_file_atomic(file, json, 0600); !written) {
    log::warn("agent", "{}", written.error());
  }
}

std::string ObjectCache::volume_key_of(const std::string& claim_key) {
  std::shared_ptr<const corev1::PersistentVolumeClaim> claim;
  {
    std::lock_guard lock(mutex_);
    auto it = entries_.find(claim_key);
    if (it != entries_.end()) {
      claim = std::static_pointer_cast<const corev1::PersistentVolumeClaim>(it->second.object);
    }
  }
  if (claim) return key_of(kVolumes, "", claim->spec.volumeName);
  auto text = read_file(file_of(claim_key));
  if (!text || text->empty()) return "";
  auto saved = api::from_json<corev1::PersistentVolumeClaim>(*text);
  return saved ? key_of(kVolumes, "", saved->spec.volumeName) : "";
}

template <class T>
Result<std::shared_ptr<const T>, Error> ObjectCache::get(const char* kind, const std::string& ns,
                                                         const std::string& name, Micros max_age) {
  const std::string key = key_of(kind, ns, name);
  {
    std::lock_guard lock(mutex_);
    auto it = entries_.find(key);
    if (it != entries_.end() &&
        (it->second.immutable || env_.clock.mono() - it->second.fetched < max_age)) {
      return std::static_pointer_cast<const T>(it->second.object);
    }
  }
  auto answer = client_.get<T>(ns, name);
  if (answer) {
    auto object = std::make_shared<const T>(std::move(*answer));
    save(key, api::to_json(*object));
    std::lock_guard lock(mutex_);
    bool immutable = false;
    if constexpr (requires { object->immutable; }) immutable = object->immutable.value_or(false);
    entries_[key] = {object, env_.clock.mono(), immutable};
    return object;
  }
  const api::Error& error = answer.error();
  if (error.is("NotFound")) {
    std::lock_guard lock(mutex_);
    entries_.erase(key);
    ::unlink(file_of(key).c_str());
    return Err(Error{Error::Code::kNotFound, fmt::format("{} \"{}\" not found", kind, name)});
  }
  if (is_outage(error)) {
    {
      std::lock_guard lock(mutex_);
      auto it = entries_.find(key);
      if (it != entries_.end()) return std::static_pointer_cast<const T>(it->second.object);
    }
    if (auto text = read_file(file_of(key)); text && !text->empty()) {
      if (auto object = api::from_json<T>(*text)) {
        return std::make_shared<const T>(std::move(*object));
      }
    }
    return Err(Error{Error::Code::kUnavailable, error.message});
  }
  return Err(Error{Error::Code::kInternal, error.message});
}

Result<std::string, Error> ObjectCache::token(const corev1::Pod& pod, const std::string& audience,
                                              int64_t expiration_seconds) {
  const std::string key = token_key(pod.metadata.uid, audience, expiration_seconds);
  const WallTime now = env_.clock.now();
  Token known;
  {
    std::lock_guard lock(mutex_);
    known = tokens_[key];
  }
  if (known.token.empty()) {
    if (auto text = read_file(file_of(key)); text && !text->empty()) {
      if (auto saved = api::from_json<api::authenticationv1::TokenRequest>(*text)) {
        known.token = saved->status.token;
        known.expires_at = saved->status.expirationTimestamp.wall();
        known.refresh_at = now;  // its age is unknown: ask for a new one if we can
      }
    }
  }
  if (!known.token.empty() && now < known.refresh_at) return known.token;

  api::authenticationv1::TokenRequest request;
  if (!audience.empty()) request.spec.audiences = {audience};
  request.spec.expirationSeconds = expiration_seconds;
  auto& bound = request.spec.boundObjectRef.ensure();
  bound.kind = "Pod";
  bound.apiVersion = "v1";
  bound.name = pod.metadata.name;
  bound.uid = pod.metadata.uid;
  const std::string account =
      pod.spec.serviceAccountName.empty() ? "default" : pod.spec.serviceAccountName;
  auto answer = client_.raw().post_subresource(api::resource_of<corev1::ServiceAccount>(),
                                               pod.metadata.namespace_, account, "token",
                                               api::to_json(request));
  if (!answer) {
    if (!known.token.empty() && now < known.expires_at) return known.token;
    return Err(
        Error{answer.error().is("NotFound") ? Error::Code::kNotFound : Error::Code::kUnavailable,
              "failed to fetch token: " + answer.error().message});
  }
  auto decoded = api::from_json<api::authenticationv1::TokenRequest>(*answer);
  if (!decoded) {
    return Err(Error{Error::Code::kInternal, "failed to fetch token: " + decoded.error().message});
  }
  Token fresh;
  fresh.token = decoded->status.token;
  fresh.expires_at = decoded->status.expirationTimestamp.wall();
  // At 80 % of its life, or after a day, whichever is first.
  fresh.refresh_at =
      now + std::min<Micros>((fresh.expires_at - now) * 8 / 10, Micros(std::chrono::hours{24}));
  save(key, *answer);
  std::lock_guard lock(mutex_);
  tokens_[key] = fresh;
  return fresh.token;
}

void ObjectCache::retain(const std::vector<std::shared_ptr<const corev1::Pod>>& pods) {
  std::set<std::string> keys;
  for (const auto& pod : pods) add_references(*pod, keys);
  std::set<std::string> volumes;
  for (const auto& key : keys) {
    if (key.starts_with(kClaims)) volumes.insert(volume_key_of(key));
  }
  keys.merge(volumes);
  {
    std::lock_guard lock(mutex_);
    std::erase_if(entries_, [&](const auto& e) { return !keys.contains(e.first); });
    std::erase_if(tokens_, [&](const auto& e) { return !keys.contains(e.first); });
  }
  std::error_code ec;
  std::vector<fs::path> stale;
  for (const auto& entry : fs::directory_iterator(directory_, ec)) {
    if (!keys.contains(entry.path().stem().string())) stale.push_back(entry.path());
  }
  for (const auto& path : stale) fs::remove(path, ec);
}

}  // namespace orch::agent
