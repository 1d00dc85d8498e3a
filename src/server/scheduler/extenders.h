// Scheduler extenders (kube-scheduler's extender/v1): webhooks asked after the plugins, which may
// narrow the nodes, score them, choose among preemption's victims, and bind. Calls block; any
// thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/corev1.h"
#include "orch/base/clock.h"
#include "orch/base/result.h"
#include "server/scheduler/framework.h"

namespace orch::server::scheduler {

// Whom a pod that an extender refused was rejected by.
inline constexpr std::string_view kExtenderName = "Extender";

struct ExtenderTls {
  bool insecure = false;
  std::string server_name;
  std::string cert_file, key_file, ca_file;  // used where the texts are empty
  std::string cert_pem, key_pem, ca_pem;
};

struct ExtenderConfig {
  std::string url_prefix;
  std::string filter_verb, prioritize_verb, preempt_verb, bind_verb;  // "" = not asked
  int64_t weight = 1;
  bool enable_https = false;
  ExtenderTls tls;
  Micros timeout = Seconds{5};
  bool node_cache_capable = false;  // gets and gives names instead of whole Nodes
  struct Managed {
    std::string name;
    bool ignored_by_scheduler = false;
  };
  std::vector<Managed> managed_resources;  // empty = every pod concerns it
  bool ignorable = false;                  // its failures do not fail the pod
};

class Extender;

class Extenders {
 public:
  // Error: names the extender and the file or value that is wrong.
  static Result<std::unique_ptr<Extenders>, std::string> create(
      const std::vector<ExtenderConfig>& configs);
  ~Extenders();

  // Takes out of `feasible` what the extenders refuse and notes why.
  Status filter(const PodInfo& pod, std::vector<const NodeInfo*>& feasible, Diagnosis& diagnosis,
                std::set<std::string>& rejected_by);
  // Adds their scores; an extender that fails to answer is left out, as upstream has it.
  void prioritize(const PodInfo& pod, Nodes feasible, std::vector<NodeScore>& scores);
  // node -> victims' uids. Nodes that an extender drops are gone afterwards.
  struct Victims {
    std::vector<std::string> uids;
    int64_t budget_violations = 0;
  };
  using Candidates = std::map<std::string, Victims>;
  Status preempt(const PodInfo& pod, Candidates& candidates);
  // nullopt = none of them binds this pod.
  std::optional<Status> bind(const PodInfo& pod, const std::string& node);

 private:
  Extenders();
  std::vector<std::unique_ptr<Extender>> all_;
};

}  // namespace orch::server::scheduler
