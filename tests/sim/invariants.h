// What must hold of the committed history, whatever happens: checked on every revision of the
// store, and on what the hollow nodes run.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "orch/api/batchv1.h"
#include "orch/api/corev1.h"
#include "orch/storage/kv_store.h"

namespace orch::sim {

struct Violation {
  std::string
      invariant;  // bound-once fits one-per-ordinal finalizers quiet converges deterministic
  std::string what;
};

class Invariants {
 public:
  // One event of the store; `verb` is of the request that wrote it.
  void committed(const storage::Event& event, const std::string& verb);
  void containers(const api::corev1::Pod& pod, const std::string& node, bool running);
  // The first, if any.
  const std::optional<Violation>& violation() const { return violation_; }

 private:
  struct PodFacts {
    std::string uid, node;
    std::map<std::string, api::Quantity> requests;
    bool counts = false;              // bound and not finished
    std::vector<std::string> blocks;  // uids of owners whose foreground deletion waits for it
    api::Time created;
  };
  void pod(const std::string& key, const api::corev1::Pod* now, const std::string& verb);
  void check_finalizers(const api::corev1::Pod& before, const api::corev1::Pod* now);
  void check_room(const std::string& node, const std::string& key);
  void check_deletion(const std::string& key, const api::metav1::ObjectMeta& gone,
                      const std::string& verb);
  void fail(std::string invariant, std::string what);

  std::map<std::string, PodFacts> pods_;
  std::map<std::string, std::shared_ptr<const api::corev1::Pod>> pod_objects_;
  std::map<std::string, std::set<std::string>> pods_of_node_;
  std::map<std::string, std::map<std::string, api::Quantity>> allocatable_;
  std::map<std::string, std::shared_ptr<const api::batchv1::Job>> jobs_;  // by uid
  std::map<std::string, std::map<std::string, std::string>> running_;     // sets' pods: uid, node
  std::optional<Violation> violation_;
};

}  // namespace orch::sim
