#include "server/auth/authorizer.h"

namespace orch::server {

DefaultAuthorizer::DefaultAuthorizer(client::InformerSet& informers) : rbac_(informers) {
  modes_.push_back(std::make_unique<NodeAuthorizer>(informers));
  modes_.push_back(std::make_unique<RbacAuthorizer>(informers));
}

DefaultAuthorizer::DefaultAuthorizer(client::InformerSet& informers,
                                     std::vector<std::unique_ptr<Authorizer>> modes)
    : rbac_(informers), modes_(std::move(modes)) {}

Authorization DefaultAuthorizer::authorize(const Attributes& attributes) {
  if (attributes.user->in_group("system:masters")) return {Decision::kAllow, "", ""};
  Authorization answer;
  const auto add = [](std::string& to, const std::string& text) {
    if (text.empty()) return;
    if (!to.empty()) to += '\n';
    to += text;
  };
  for (const auto& mode : modes_) {
    Authorization said = mode->authorize(attributes);
    if (said.decision != Decision::kNoOpinion) return said;
    add(answer.reason, said.reason);
    add(answer.evaluation_error, said.evaluation_error);
  }
  return answer;
}

std::vector<HeldRule> DefaultAuthorizer::rules_for(const UserInfo& user, std::string_view ns) {
  std::vector<HeldRule> out;
  for (const auto& mode : modes_) {
    for (auto& rule : mode->rules_for(user, ns)) out.push_back(std::move(rule));
  }
  return out;
}

}  // namespace orch::server
