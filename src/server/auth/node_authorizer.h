// What a node may (upstream's Node authorizer): read the secrets, config maps, claims and volumes
// of the Pods bound to it and ask for their tokens; its own Node, Lease and CSINode; its own Pods.
// Asks informer caches; any thread.
#pragma once

#include <string>
#include <string_view>

#include "orch/api/corev1.h"
#include "orch/api/storagev1.h"
#include "orch/client/informer.h"
#include "server/auth/node_identity.h"
#include "server/auth/rbac.h"

namespace orch::server {

// The rules of system:node.
const PolicyRules& node_rules();

class NodeAuthorizer final : public Authorizer {
 public:
  explicit NodeAuthorizer(client::InformerSet& informers);
  Authorization authorize(const Attributes& attributes) override;
  // Which objects a node reaches cannot be said as rules: those of system:node.
  std::vector<HeldRule> rules_for(const UserInfo& user, std::string_view ns) override;

 private:
  using Text = std::string;  // "" = allowed, else why not
  Text decide(const std::string& node, const Attributes& a) const;
  Text read_namespaced(const std::string& node, const Attributes& a) const;
  Text get_related(const std::string& node, const Attributes& a) const;
  Text create_token(const std::string& node, const Attributes& a) const;
  Text related(const std::string& node, const Attributes& a) const;
  bool reaches(const std::string& node, const Attributes& a) const;
  bool claim_reaches(const api::corev1::Pod& pod, const std::string& claim,
                     const Attributes& a) const;

  client::Lister<api::corev1::Pod> pods_;
  client::Lister<api::corev1::PersistentVolumeClaim> claims_;
  client::Lister<api::corev1::PersistentVolume> volumes_;
  client::Lister<api::storagev1::VolumeAttachment> attachments_;
};

}  // namespace orch::server
