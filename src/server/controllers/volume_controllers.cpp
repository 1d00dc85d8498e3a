#include "server/controllers/volume_controllers.h"

namespace orch::server {

using namespace api;
using corev1::Pod;

constexpr size_t kToldMax = 10'000;

std::vector<ObjectKey> claims_of(const Pod& pod) {
  std::vector<ObjectKey> out;
  for (const auto& volume : pod.spec.volumes) {
    std::string name = claim_name_of(pod, volume);
    if (!name.empty()) out.push_back({pod.metadata.namespace_, std::move(name)});
  }
  return out;
}

void index_pods_by_claim(client::InformerSet& informers) {
  informers.get<Pod>().add_index(kPodsByClaim, [](const Object& object) {
    std::vector<std::string> out;
    for (const auto& key : claims_of(static_cast<const Pod&>(object))) out.push_back(key.str());
    return out;
  });
}

client::ReconcileResult outcome(const ApiResult<Unit>& result) {
  if (result) return client::done();
  if (result.error().is("Conflict") || result.error().is("NotFound")) {
    return client::requeue_after(Millis{20});
  }
  return Err(client::ReconcileError(result.error()));
}

void OnceRecorder::tell(const Object& object, std::string_view type, std::string_view reason,
                        std::string_view message) {
  std::string what = object.metadata.uid;
  what.append(" ").append(reason).append(" ").append(message);
  // Whoever forgets to forget: at worst something is told again.
  if (told_.size() > kToldMax) told_.clear();
  std::string& last = told_[key_of(object)];
  if (last == what) return;
  last = std::move(what);
  events_.record(client::subject_of(object), type, reason, message);
}

}  // namespace orch::server
