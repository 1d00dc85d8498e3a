// Resources that are answered and not stored: TokenReview, SubjectAccessReview and its family,
// SelfSubjectReview, and the collection of Bindings.
#include <fmt/format.h>

#include "orch/api/authenticationv1.h"
#include "orch/api/authorizationv1.h"
#include "orch/api/codec.h"
#include "server/api/encode.h"
#include "server/api/subresources/subresources.h"
#include "server/api/writer.h"

namespace orch::server {
namespace {

namespace authz = api::authorizationv1;
namespace authn = api::authenticationv1;

struct Question {
  const api::Ptr<authz::ResourceAttributes>& resource;
  const api::Ptr<authz::NonResourceAttributes>& path;
};

api::ApiResult<Unit> check(const Question& question, std::string_view kind) {
  api::FieldErrors errors;
  if (question.resource && question.path) {
    errors.invalid("spec.nonResourceAttributes", "{}",
                   "cannot be specified in combination with resourceAttributes");
  } else if (!question.resource && !question.path) {
    errors.invalid("spec.resourceAttributes", "null",
                   "exactly one of nonResourceAttributes or resourceAttributes must be specified");
  }
  if (errors.empty()) return Unit{};
  return Err(api::invalid("authorization.k8s.io", kind, "", errors.take()));
}

void decide(ApiServer& server, const UserInfo& user, const Question& question,
            authz::SubjectAccessReviewStatus& status) {
  Attributes attributes;
  attributes.user = &user;
  if (question.resource) {
    const auto& r = *question.resource;
    attributes.verb = r.verb;
    attributes.group = r.group;
    attributes.version = r.version;
    attributes.resource = r.resource;
    attributes.subresource = r.subresource;
    attributes.namespace_ = r.namespace_;
    attributes.name = r.name;
    if (r.fieldSelector) attributes.field_selector = r.fieldSelector->rawSelector;
    if (r.labelSelector) attributes.label_selector = r.labelSelector->rawSelector;
  } else {
    attributes.resource_request = false;
    attributes.verb = question.path->verb;
    attributes.path = question.path->path;
  }
  Authorizer* authorizer = server.hooks().authorizer;
  const Authorization verdict = authorizer != nullptr ? authorizer->authorize(attributes)
                                                      : Authorization{Decision::kAllow, "", ""};
  status.allowed = verdict.decision == Decision::kAllow;
  status.denied = verdict.decision == Decision::kDeny;
  status.reason = verdict.reason;
  status.evaluationError = verdict.evaluation_error;
}

UserInfo subject_of(const authz::SubjectAccessReviewSpec& spec) {
  return UserInfo{spec.user, spec.uid, spec.groups, spec.extra};
}

api::ApiResult<Unit> answer_subject(ApiServer& server, const Call& call,
                                    authz::SubjectAccessReviewSpec& spec,
                                    authz::SubjectAccessReviewStatus& status,
                                    std::string_view kind) {
  if (spec.user.empty() && spec.groups.empty()) {
    api::FieldErrors errors;
    errors.invalid("spec.user", "\"\"", "at least one of user or group must be specified");
    return Err(api::invalid("authorization.k8s.io", kind, "", errors.take()));
  }
  const Question question{spec.resourceAttributes, spec.nonResourceAttributes};
  ORCH_CHECK(check(question, kind));
  if (kind == "LocalSubjectAccessReview") {
    if (!question.resource) {
      return Err(api::bad_request("must specify spec.resourceAttributes"));
    }
    if (question.resource->namespace_ != call.info.namespace_) {
      return Err(api::bad_request(fmt::format(
          "spec.resourceAttributes.namespace must match namespace: {}", call.info.namespace_)));
    }
  }
  decide(server, subject_of(spec), question, status);
  return Unit{};
}

api::ApiResult<Unit> answer_rules(ApiServer& server, const Call& call,
                                  authz::SelfSubjectRulesReview& review) {
  if (review.spec.namespace_.empty()) return Err(api::bad_request("no namespace on request"));
  Authorizer* authorizer = server.hooks().authorizer;
  if (authorizer == nullptr) return Unit{};
  for (const HeldRule& rule : authorizer->rules_for(call.user, review.spec.namespace_)) {
    if (!rule.non_resource_urls.empty()) {
      authz::NonResourceRule out;
      out.verbs = rule.verbs;
      out.nonResourceURLs = rule.non_resource_urls;
      review.status.nonResourceRules.push_back(std::move(out));
    } else {
      authz::ResourceRule out;
      out.verbs = rule.verbs;
      out.apiGroups = rule.api_groups;
      out.resources = rule.resources;
      out.resourceNames = rule.resource_names;
      review.status.resourceRules.push_back(std::move(out));
    }
  }
  return Unit{};
}

void answer_self(const Call& call, authn::SelfSubjectReview& review, WallTime now) {
  auto& info = review.status.userInfo;
  info.username = call.user.name;
  info.uid = call.user.uid;
  info.groups = call.user.groups;
  info.extra = call.user.extra;
  review.metadata.creationTimestamp = api::Time(now);
}

api::ApiResult<Unit> answer_token(ApiServer& server, authn::TokenReview& review) {
  if (review.spec.token.empty()) {
    return Err(api::bad_request("token is required for TokenReview in authentication"));
  }
  if (Authenticator* authenticator = server.hooks().authenticator) {
    authenticator->review(review);
  } else {
    review.status.authenticated = false;
  }
  review.spec.token = "";
  return Unit{};
}

api::ApiResult<Unit> fill(ApiServer& server, const Call& call, api::Object& object) {
  const std::string_view kind = object.type().kind;
  if (kind == "SubjectAccessReview") {
    auto& review = static_cast<authz::SubjectAccessReview&>(object);
    return answer_subject(server, call, review.spec, review.status, kind);
  }
  if (kind == "LocalSubjectAccessReview") {
    auto& review = static_cast<authz::LocalSubjectAccessReview&>(object);
    return answer_subject(server, call, review.spec, review.status, kind);
  }
  if (kind == "SelfSubjectAccessReview") {
    auto& review = static_cast<authz::SelfSubjectAccessReview&>(object);
    const Question question{review.spec.resourceAttributes, review.spec.nonResourceAttributes};
    ORCH_CHECK(check(question, kind));
    decide(server, call.user, question, review.status);
    return Unit{};
  }
  if (kind == "SelfSubjectRulesReview") {
    return answer_rules(server, call, static_cast<authz::SelfSubjectRulesReview&>(object));
  }
  if (kind == "SelfSubjectReview") {
    answer_self(call, static_cast<authn::SelfSubjectReview&>(object), server.env().clock.now());
    return Unit{};
  }
  if (kind == "TokenReview") return answer_token(server, static_cast<authn::TokenReview&>(object));
  return Err(api::path_not_found());
}

}  // namespace

Answer answer_review(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                     net::HttpResponse& response) {
  if (resource.kind == "Binding") return create_binding(server, call, resource, response);
  ORCH_TRY(const Encoding encoding, encoding_of(call, server.env().clock.now(), false));
  ORCH_TRY(const WriteOptions options, write_options(call, "CreateOptions"));
  ORCH_TRY(auto object, decode_body(call, *resource.type, options.field_validation));
  ORCH_CHECK(match_url_on_create(call, resource, *object));
  ORCH_CHECK(fill(server, call, *object));
  answer_json(encoding, api::to_json(*object), resource.type, 201, response);
  return Unit{};
}

}  // namespace orch::server
