// client::Transport in process. Made by ApiServer::local_transport(); any thread.
#pragma once

#include "orch/client/transport.h"
#include "server/api/api_server.h"
#include "server/api/call.h"

namespace orch::server {

class LocalTransport final : public client::Transport {
 public:
  LocalTransport(ApiServer& server, UserInfo user) : server_(server), user_(std::move(user)) {}
  api::ApiResult<client::Response> call(const client::Request& request) override;
  api::ApiResult<std::unique_ptr<client::WatchStream>> watch(
      const client::Request& request, client::WatchCallbacks callbacks) override;

 private:
  Call make_call(const client::Request& request) const;
  ApiServer& server_;
  const UserInfo user_;
};

}  // namespace orch::server
