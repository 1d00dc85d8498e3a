// What the controllers of volumes share.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/volume_binding.h"
#include "orch/client/reconciler.h"

namespace orch::server {

// Index of Pods by the claims they use; values are "namespace/claim".
inline constexpr const char* kPodsByClaim = "claim";
void index_pods_by_claim(client::InformerSet& informers);
// The claims of a pod, those of generic ephemeral volumes included.
std::vector<api::ObjectKey> claims_of(const api::corev1::Pod& pod);

// What a write came to: conflicts and vanished objects are looked at again, the rest is an error.
client::ReconcileResult outcome(const api::ApiResult<Unit>& result);

// Writes `wanted` if it differs from `now`; then it holds what the server made of it.
template <class T>
api::ApiResult<Unit> write_if_changed(const client::Client& client, const T& now, T& wanted) {
  if (api::equal(now, wanted)) return Unit{};
  ORCH_TRY(wanted, client.update(wanted));
  return Unit{};
}
template <class T>
api::ApiResult<Unit> write_status_if_changed(const client::Client& client, const T& now,
                                             T& wanted) {
  if (api::equal(now, wanted)) return Unit{};
  ORCH_TRY(wanted, client.update_status(wanted));
  return Unit{};
}

// Tells an object's events once each, not at every look at it. One strand.
class OnceRecorder {
 public:
  explicit OnceRecorder(client::EventRecorder& events) : events_(events) {}
  void tell(const api::Object& object, std::string_view type, std::string_view reason,
            std::string_view message);
  void forget(const api::ObjectKey& key) { told_.erase(key); }

 private:
  client::EventRecorder& events_;
  std::map<api::ObjectKey, std::string> told_;  // uid, reason and message of the last
};

}  // namespace orch::server
