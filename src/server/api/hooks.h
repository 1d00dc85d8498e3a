// What the API server needs from authentication, authorization, admission and token issuing:
// small interfaces, implemented in src/server/auth and src/server/admission and given to ApiServer
// as pointers. Implementations are called from any thread, concurrently, and do not throw.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/authenticationv1.h"  // generated
#include "orch/api/error.h"
#include "orch/api/object.h"
#include "orch/api/scheme.h"
#include "orch/net/http.h"

namespace orch::server {

// Who asks (authentication's user.Info).
struct UserInfo {
  std::string name;
  std::string uid;
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;

  bool in_group(std::string_view group) const {
    for (const auto& g : groups) {
      if (g == group) return true;
    }
    return false;
  }
};

// ---- authentication ----

// What a request shows of its sender.
struct Credentials {
  std::string bearer_token;             // of the Authorization header, "" = none
  std::string bad_authorization;        // an Authorization header of another scheme
  std::string certificate_common_name;  // of the verified client certificate, "" = none
  std::vector<std::string> certificate_organizations;
  std::string certificate_uid;
  std::string certificate_fingerprint;
  bool certificate_refused = false;        // one was given that does not make a client
  std::optional<std::string> front_proxy;  // it is a front proxy's: its common name
  const net::Headers* headers = nullptr;   // what a front proxy says; null = nothing
  std::string path;  // of the request: anonymous callers may be let in to some only
};

class Authenticator {
 public:
  virtual ~Authenticator() = default;
  // No credentials: the anonymous user, or 401. Wrong credentials: 401 unauthorized().
  virtual api::ApiResult<UserInfo> authenticate(const Credentials& credentials) = 0;
  // Answers a TokenReview: fills review.status from review.spec.
  virtual void review(api::authenticationv1::TokenReview& review) = 0;
};

// ---- authorization ----

struct Attributes {
  const UserInfo* user = nullptr;
  std::string verb;  // resources: get list ... ; else the HTTP method in lower case
  bool resource_request = true;
  std::string group, version, resource, subresource, namespace_, name;
  std::string path;                            // non-resource requests
  std::string field_selector, label_selector;  // as on the wire (list, watch, deletecollection)
};

enum class Decision : uint8_t { kAllow, kDeny, kNoOpinion };
struct Authorization {
  Decision decision = Decision::kNoOpinion;
  std::string reason;
  std::string evaluation_error;
};

// One rule that a user holds in a namespace (SelfSubjectRulesReview).
struct HeldRule {
  std::vector<std::string> verbs, api_groups, resources, resource_names, non_resource_urls;
};

class Authorizer {
 public:
  virtual ~Authorizer() = default;
  virtual Authorization authorize(const Attributes& attributes) = 0;
  virtual std::vector<HeldRule> rules_for(const UserInfo& user, std::string_view ns) = 0;
};

// ---- admission ----

enum class Operation : uint8_t { kCreate, kUpdate, kDelete, kConnect };

struct AdmissionRequest {
  Operation operation = Operation::kCreate;
  const api::ResourceInfo* resource = nullptr;
  std::string subresource;
  std::string namespace_, name;  // name is "" before generateName was resolved
  const UserInfo* user = nullptr;
  // The object to be written, of resource->type; null on delete and connect. Subresources with a
  // kind of their own (binding, eviction, token, scale): null here, see `payload`.
  api::Object* object = nullptr;
  const api::Object* old_object = nullptr;  // update and delete
  // Body of a subresource of another kind, e.g. corev1::Binding, policyv1::Eviction,
  // api::authenticationv1::TokenRequest.
  const api::Object* payload = nullptr;
  bool dry_run = false;
  std::vector<std::string>* warnings = nullptr;  // become Warning headers
  std::map<std::string, std::string>* audit_annotations = nullptr;  // of the request's audit events
};

class AdmissionChain {
 public:
  virtual ~AdmissionChain() = default;
  // Mutating step: after decoding and defaulting, before the resource's own validation. May change
  // *request.object.
  virtual api::ApiResult<Unit> admit(AdmissionRequest& request) = 0;
  // Validating step: sees the final object, changes nothing.
  virtual api::ApiResult<Unit> validate(const AdmissionRequest& request) = 0;
};

// ---- tokens of service accounts ----

// What a token is bound to, checked to exist with these uids.
struct TokenSubject {
  std::string namespace_, service_account, service_account_uid;
  std::string pod_name, pod_uid;        // "" = not bound to a Pod
  std::string secret_name, secret_uid;  // "" = not bound to a Secret
  std::string node_name, node_uid;      // of the Pod, or bound to the Node itself
  bool bound_to_node = false;
};

class TokenIssuer {
 public:
  virtual ~TokenIssuer() = default;
  // Fills request.status (token, expirationTimestamp) and the defaults of request.spec (audiences,
  // expirationSeconds). 422 on bad lifetimes.
  virtual api::ApiResult<Unit> issue(const TokenSubject& subject,
                                     api::authenticationv1::TokenRequest& request) = 0;
};

// A null pointer leaves the step out: no authentication (the caller's UserInfo stands), everything
// authorised, nothing admitted against, no tokens. For tests of single handlers only.
struct Hooks {
  Authenticator* authenticator = nullptr;
  Authorizer* authorizer = nullptr;
  AdmissionChain* admission = nullptr;
  TokenIssuer* token_issuer = nullptr;
};

}  // namespace orch::server
