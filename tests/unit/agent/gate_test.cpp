#include "agent/serve/gate.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "orch/api/authorizationv1.h"
#include "unit/client/scripted_transport.h"

namespace orch::agent {
namespace {

using client::Request;
using client::Response;
namespace authn = api::authenticationv1;
namespace authz = api::authorizationv1;

// An API server that knows two tokens and grants a list of "user verb subresource".
struct Door {
  Door() {
    transport.otherwise = [this](const Request& request) -> api::ApiResult<Response> {
      if (away) return Err(api::service_unavailable("connection refused"));
      if (request.resource == "tokenreviews") {
        auto review = static_cast<const authn::TokenReview&>(*request.object);
        const auto& token = review.spec.token;
        review.status.authenticated = token == "good" || token == "other";
        if (review.status.authenticated) review.status.user.username = "sa-" + token;
        return Response{201, api::to_json(review)};
      }
      REQUIRE(request.resource == "subjectaccessreviews");
      auto review = static_cast<const authz::SubjectAccessReview&>(*request.object);
      const auto& asked = *review.spec.resourceAttributes;
      CHECK(asked.resource == "nodes");
      CHECK(asked.name == "n1");
      CHECK(asked.version == "v1");
      const std::string what = review.spec.user + " " + asked.verb + " " + asked.subresource;
      review.status.allowed = std::find(granted.begin(), granted.end(), what) != granted.end();
      return Response{201, api::to_json(review)};
    };
  }

  static net::HttpRequest request(const std::string& token, const std::string& path,
                                  const std::string& method = "GET") {
    net::HttpRequest out;
    out.method = method;
    out.path = path;
    if (!token.empty()) out.headers.emplace("Authorization", "Bearer " + token);
    return out;
  }
  // "" = let in; else status and text.
  std::string ask(const net::HttpRequest& request) {
    const auto refusal = gate.refuses(request);
    return refusal ? std::to_string(refusal->status) + " " + refusal->text : "";
  }
  std::string ask(const std::string& token, const std::string& path,
                  const std::string& method = "GET") {
    return ask(request(token, path, method));
  }
  size_t calls() const { return transport.calls.size(); }

  ManualClock clock;
  client::testing::ScriptedTransport transport;
  client::Client client{transport};
  Gate gate{clock, client, "n1"};
  std::vector<std::string> granted;
  bool away = false;
};

std::string forbidden(const std::string& user, const std::string& verb, const std::string& what) {
  return "403 Forbidden (user=" + user + ", verb=" + verb +
         ", resource=nodes, subresource=" + what + ")";
}

TEST_CASE("gate: what a request to the agent stands for") {
  struct Case {
    const char *method, *path, *verb;
    std::vector<std::string> subresources;
  };
  for (const auto& row : std::vector<Case>{
           {"GET", "/metrics", "get", {"metrics"}},
           {"GET", "/metrics/cadvisor", "get", {"metrics"}},
           {"GET", "/metricsx", "get", {"proxy"}},
           {"GET", "/stats/summary", "get", {"stats"}},
           {"POST", "/stats/", "create", {"stats"}},
           {"GET", "/spec", "get", {"spec"}},
           {"GET", "/logs/", "get", {"log"}},
           {"GET", "/logs/../exec/a/b/c", "get", {"log"}},
           {"POST", "/checkpoint/a/b/c", "create", {"checkpoint"}},
           {"GET", "/pods", "get", {"pods", "proxy"}},
           {"GET", "/runningpods/", "get", {"pods", "proxy"}},
           {"GET", "/healthz/ping", "get", {"healthz", "proxy"}},
           {"GET", "/configz", "get", {"configz", "proxy"}},
           {"GET", "/containerLogs/ns/pod/c", "get", {"proxy"}},
           {"GET", "/exec/ns/pod/c", "create", {"proxy"}},
           {"POST", "/attach/ns/pod/c", "create", {"proxy"}},
           {"GET", "/portForward/ns/pod", "create", {"proxy"}},
           {"GET", "//metrics", "get", {"proxy"}},
           {"PUT", "/x", "update", {"proxy"}},
           {"PATCH", "/x", "patch", {"proxy"}},
           {"DELETE", "/x", "delete", {"proxy"}},
           {"HEAD", "/x", "", {"proxy"}},
       }) {
    INFO(row.method << " " << row.path);
    CHECK(node_verb(row.method, row.path) == row.verb);
    CHECK(node_subresources(row.path) == row.subresources);
  }
}

TEST_CASE("gate: nobody comes in without credentials that hold") {
  Door door;
  CHECK(door.ask("", "/metrics") == "401 Unauthorized");
  CHECK(door.ask("", "/healthz") == "401 Unauthorized");
  CHECK(door.calls() == 0);
  CHECK(door.ask("forged", "/metrics") == "401 Unauthorized");
  auto basic = Door::request("", "/metrics");
  basic.headers.emplace("Authorization", "Basic Z29vZDpnb29k");
  CHECK(door.ask(basic) == "401 Unauthorized");
  auto expired = Door::request("good", "/metrics");
  expired.peer.error = "x509: certificate has expired or is not yet valid";
  door.granted = {"sa-good get metrics"};
  CHECK(door.ask(expired) == "401 Unauthorized");
  // A header is not an identity.
  auto spoofed = Door::request("", "/metrics");
  spoofed.headers.emplace("X-Remote-User", "sa-good");
  spoofed.headers.emplace("X-Remote-Group", "system:masters");
  CHECK(door.ask(spoofed) == "401 Unauthorized");
}

TEST_CASE("gate: each request needs its own right") {
  Door door;
  door.granted = {"sa-good get metrics", "sa-good get proxy"};
  CHECK(door.ask("good", "/metrics") == "");
  CHECK(door.ask("good", "/pods") == "");
  CHECK(door.ask("good", "/stats/summary") == forbidden("sa-good", "get", "stats"));
  CHECK(door.ask("other", "/metrics") == forbidden("sa-other", "get", "metrics"));
  // To read the node is not to run something on it, whatever the method.
  CHECK(door.ask("good", "/exec/ns/pod/c") == forbidden("sa-good", "create", "proxy"));
  CHECK(door.ask("good", "/portForward/ns/pod", "POST") == forbidden("sa-good", "create", "proxy"));
  // A certificate without rights is a user like others.
  auto user = Door::request("", "/metrics");
  user.peer.common_name = "ann";
  CHECK(door.ask(user) == forbidden("ann", "get", "metrics"));
  door.granted = {"ben get metrics"};
  user.peer.common_name = "ben";
  CHECK(door.ask(user) == "");
}

TEST_CASE("gate: the API server comes in without being asked for, also while it starts") {
  Door door;
  door.away = true;
  auto server = Door::request("", "/exec/ns/pod/c", "POST");
  server.peer.common_name = "system:apiserver";
  server.peer.organizations = {"system:masters"};
  CHECK(door.ask(server) == "");
  CHECK(door.calls() == 0);
}

TEST_CASE("gate: answers are kept for as long as the kubelet keeps them") {
  Door door;
  door.granted = {"sa-good get metrics"};
  CHECK(door.ask("good", "/metrics") == "");
  CHECK(door.ask("other", "/metrics") == forbidden("sa-other", "get", "metrics"));
  CHECK(door.ask("forged", "/metrics") == "401 Unauthorized");
  const size_t asked = door.calls();
  CHECK(asked == 5);
  // Within 30 s nothing is asked again, and a dead API server is not noticed.
  door.away = true;
  door.clock.advance(Seconds{29});
  CHECK(door.ask("good", "/metrics") == "");
  CHECK(door.ask("other", "/metrics") == forbidden("sa-other", "get", "metrics"));
  CHECK(door.ask("forged", "/metrics") == "401 Unauthorized");
  CHECK(door.calls() == asked);
  // Refusals are the first to be asked anew ...
  door.clock.advance(Seconds{2});
  CHECK(door.ask("other", "/metrics") ==
        "500 Authorization error (user=sa-other, verb=get, resource=nodes, subresource=metrics)");
  CHECK(door.ask("good", "/metrics") == "");
  // ... then who a token is of ...
  door.clock.advance(Seconds{90});
  CHECK(door.ask("good", "/metrics") == "401 Unauthorized");
  door.away = false;
  const size_t before = door.calls();
  CHECK(door.ask("good", "/metrics") == "");  // a failure is not kept
  CHECK(door.calls() == before + 1);
  // ... and what it may.
  door.granted.clear();
  door.clock.advance(Seconds{180});
  CHECK(door.ask("good", "/metrics") == forbidden("sa-good", "get", "metrics"));
}

}  // namespace
}  // namespace orch::agent
