// The identities under which the parts of this process call the API: scheduler, controller manager
// and each controller its own, with the roles upstream gives them and no more.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "orch/client/client.h"
#include "server/api/api_server.h"

namespace orch::server {

// The ServiceAccount of kube-system as which a controller of this name (controllers.def) acts;
// "" = the controller manager's own user.
std::string controller_account(std::string_view controller);
UserInfo component_user(std::string name);
UserInfo service_account_user(std::string_view ns, std::string_view name);

// One transport and client an identity, made on first use. Any thread; outlives its users.
class Identities {
 public:
  explicit Identities(ApiServer& api) : api_(api) {}
  const client::Client& controller(std::string_view name);

 private:
  struct Identity {
    std::unique_ptr<client::Transport> transport;
    std::unique_ptr<client::Client> client;
  };
  ApiServer& api_;
  std::mutex mutex_;
  std::map<std::string, Identity, std::less<>> made_;
};

}  // namespace orch::server
