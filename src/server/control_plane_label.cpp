#include "server/control_plane_label.h"

#include <unistd.h>

#include "orch/api/corev1.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"

namespace orch::server {
namespace {

constexpr const char* kLabel = "node-role.kubernetes.io/control-plane";

// As the agent names its node.
std::string host_name() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return to_lower(name);
}

}  // namespace

void keep_control_plane_label(Env& env, const client::Client& client,
                              client::InformerSet& informers, std::string node_name) {
  if (node_name.empty()) node_name = host_name();
  auto strand = env.executor.make_strand("control-plane-label");
  informers.get<api::corev1::Node>().add_handler(
      [strand, &client, node_name = std::move(node_name)](const api::ObjectPtr&,
                                                          const api::ObjectPtr& now) {
        if (!now || now->metadata.name != node_name) return;
        if (now->metadata.labels.count(kLabel) != 0) return;
        strand->post([&client, node_name] {
          auto patched = client.patch<api::corev1::Node>(
              "", node_name, api::PatchType::kMerge,
              R"({"metadata":{"labels":{"node-role.kubernetes.io/control-plane":"true"}}})");
          if (!patched && !patched.error().is("NotFound")) {
            log::warn("server", "labelling node {}: {}", node_name, patched.error().message);
          }
        });
      });
}

}  // namespace orch::server
