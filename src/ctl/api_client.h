// Requests to the API server, with failures as kubectl words them. One thread at a time, but for
// upgraded connections.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "ctl/failure.h"
#include "ctl/kubeconfig.h"
#include "orch/api/json_value.h"
#include "orch/base/clock.h"
#include "orch/net/http.h"

namespace orch::ctl {

struct Call {
  std::string method = "GET";
  std::string target;
  std::string body = "";
  std::string content_type = "application/json";
  std::string accept = "application/json";
  std::string doing = "";  // `error when creating "f.yaml"`
};

class ApiClient {
 public:
  // Does not connect yet. `timeout` 0 = none.
  static Outcome<std::unique_ptr<ApiClient>> create(const Connection& connection, Millis timeout);

  // The body of a 2xx answer; warnings of the server go to standard error.
  Outcome<std::string> call(const Call& call);
  Outcome<api::JsonValue> json(const Call& call);
  // A body as it comes, until its end or until `on_data` returns false.
  Outcome<Unit> stream(const std::string& target, const std::string& accept,
                       const std::function<bool(std::string_view)>& on_data);
  // After a 101; any other answer is a failure.
  Outcome<net::HttpClient::Upgraded> upgrade(const std::string& target, net::Headers headers);
  const std::string& server() const { return connection_.server; }

 private:
  explicit ApiClient(Connection connection) : connection_(std::move(connection)) {}
  net::Headers headers(const std::string& accept) const;
  Failure no_answer(const std::string& cause) const;

  Connection connection_;
  std::unique_ptr<net::HttpClient> http_;
};

// "?a=b&c=d" of what is not empty; "" if all is.
std::string query_text(const std::vector<std::pair<std::string, std::string>>& query);

}  // namespace orch::ctl
