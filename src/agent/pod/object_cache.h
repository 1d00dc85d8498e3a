// ConfigMaps, Secrets and tokens that pods here refer to: asked of the server, remembered in memory
// and (mode 600) on disk, so that pods start again when the server is away. Any thread; calls
// block.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "agent/pod/environment.h"
#include "orch/base/env.h"
#include "orch/client/client.h"

namespace orch::agent {

class ObjectCache {
 public:
  // directory: where copies are kept; made if missing.
  ObjectCache(Env& env, client::Transport& transport, std::string directory);

  // What a starting container sees: at most a second old.
  ObjectSource& fresh() { return fresh_; }
  // For refreshing volumes: up to half a minute old.
  ObjectSource& relaxed() { return relaxed_; }

  // Forgets what none of these pods refers to, on disk too.
  void retain(const std::vector<std::shared_ptr<const corev1::Pod>>& pods);

 private:
  class Source final : public ObjectSource {
   public:
    Source(ObjectCache& cache, Micros max_age) : cache_(cache), max_age_(max_age) {}
    Result<std::shared_ptr<const corev1::ConfigMap>, Error> config_map(
        const std::string& ns, const std::string& name) override {
      return cache_.get<corev1::ConfigMap>("configmap", ns, name, max_age_);
    }
    Result<std::shared_ptr<const corev1::Secret>, Error> secret(const std::string& ns,
                                                                const std::string& name) override {
      return cache_.get<corev1::Secret>("secret", ns, name, max_age_);
    }
    Result<std::shared_ptr<const corev1::PersistentVolumeClaim>, Error> claim(
        const std::string& ns, const std::string& name) override {
      return cache_.get<corev1::PersistentVolumeClaim>("persistentvolumeclaims", ns, name,
                                                       max_age_);
    }
    Result<std::shared_ptr<const corev1::PersistentVolume>, Error> persistent_volume(
        const std::string& name) override {
      return cache_.get<corev1::PersistentVolume>("persistentvolumes", "", name, max_age_);
    }
    Result<std::string, Error> service_account_token(const corev1::Pod& pod,
                                                     const std::string& audience,
                                                     int64_t expiration_seconds) override {
      return cache_.token(pod, audience, expiration_seconds);
    }

   private:
    ObjectCache& cache_;
    const Micros max_age_;
  };

  struct Entry {
    std::shared_ptr<const api::Object> object;
    MonoTime fetched{};
    bool immutable = false;
  };
  struct Token {
    std::string token;
    WallTime refresh_at, expires_at;
  };

  template <class T>
  Result<std::shared_ptr<const T>, Error> get(const char* kind, const std::string& ns,
                                              const std::string& name, Micros max_age);
  Result<std::string, Error> token(const corev1::Pod& pod, const std::string& audience,
                                   int64_t expiration_seconds);
  std::string file_of(const std::string& key) const;
  // The key of the volume that the claim of this key is bound to; "" = not known here.
  std::string volume_key_of(const std::string& claim_key);
  void save(const std::string& key, const std::string& json);

  Env& env_;
  client::Client client_;
  const std::string directory_;
  Source fresh_{*this, Seconds{1}}, relaxed_{*this, Seconds{30}};
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, Token> tokens_;
};

}  // namespace orch::agent
