// authentication.k8s.io/v1 and authorization.k8s.io/v1: reviews, answered and never stored.
#include "api/kinds/checks.h"
#include "orch/api/authenticationv1.h"
#include "orch/api/authorizationv1.h"

namespace orch::api {
namespace {

void validate_token_review(const Object& object, const Object*, FieldErrors& errors) {
  if (static_cast<const authenticationv1::TokenReview&>(object).spec.token.empty()) {
    errors.required("spec.token", "token must be provided");
  }
}

template <class Spec>
void validate_access(const Spec& spec, FieldErrors& errors) {
  const bool resource = static_cast<bool>(spec.resourceAttributes);
  const bool path = static_cast<bool>(spec.nonResourceAttributes);
  if (resource && path) {
    errors.invalid("spec.nonResourceAttributes", go_value(spec.nonResourceAttributes),
                   "cannot be specified in combination with resourceAttributes");
  }
  if (!resource && !path) {
    errors.invalid("spec.resourceAttributes", "null",
                   "exactly one of nonResourceAttributes or resourceAttributes must be specified");
  }
}

template <class Review>
void validate_subject_review(const Object& object, const Object*, FieldErrors& errors) {
  const auto& spec = static_cast<const Review&>(object).spec;
  validate_access(spec, errors);
  if (spec.user.empty() && spec.groups.empty()) {
    errors.invalid("spec.user", "\"\"", "at least one of user or group must be specified");
  }
}

void validate_local_review(const Object& object, const Object* old, FieldErrors& errors) {
  using authorizationv1::LocalSubjectAccessReview;
  validate_subject_review<LocalSubjectAccessReview>(object, old, errors);
  const auto& review = static_cast<const LocalSubjectAccessReview&>(object);
  const auto& resource = review.spec.resourceAttributes;
  if (resource && resource->namespace_ != review.metadata.namespace_) {
    errors.invalid("spec.resourceAttributes.namespace", quoted(resource->namespace_),
                   "must match metadata.namespace");
  }
  if (review.spec.nonResourceAttributes) {
    errors.invalid("spec.nonResourceAttributes", go_value(review.spec.nonResourceAttributes),
                   "disallowed on this kind of request");
  }
}

}  // namespace

ResourceInfo token_reviews_resource() {
  auto info = review_resource<authenticationv1::TokenReview>("tokenreviews", "tokenreview", false);
  info.validate = validate_token_review;
  return info;
}

ResourceInfo self_subject_reviews_resource() {
  return review_resource<authenticationv1::SelfSubjectReview>("selfsubjectreviews",
                                                              "selfsubjectreview", false);
}

ResourceInfo subject_access_reviews_resource() {
  auto info = review_resource<authorizationv1::SubjectAccessReview>("subjectaccessreviews",
                                                                    "subjectaccessreview", false);
  info.validate = validate_subject_review<authorizationv1::SubjectAccessReview>;
  return info;
}

ResourceInfo local_subject_access_reviews_resource() {
  auto info = review_resource<authorizationv1::LocalSubjectAccessReview>(
      "localsubjectaccessreviews", "localsubjectaccessreview", true);
  info.validate = validate_local_review;
  return info;
}

ResourceInfo self_subject_access_reviews_resource() {
  auto info = review_resource<authorizationv1::SelfSubjectAccessReview>(
      "selfsubjectaccessreviews", "selfsubjectaccessreview", false);
  info.validate = [](const Object& object, const Object*, FieldErrors& errors) {
    validate_access(static_cast<const authorizationv1::SelfSubjectAccessReview&>(object).spec,
                    errors);
  };
  return info;
}

ResourceInfo self_subject_rules_reviews_resource() {
  return review_resource<authorizationv1::SelfSubjectRulesReview>("selfsubjectrulesreviews",
                                                                  "selfsubjectrulesreview", false);
}

}  // namespace orch::api
