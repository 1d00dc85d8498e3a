// serviceaccounts/token: hands out a token bound to a Pod, Secret or Node that exists.
#include <fmt/format.h>

#include "orch/api/authenticationv1.h"
#include "orch/api/codec.h"
#include "orch/api/corev1.h"
#include "server/api/encode.h"
#include "server/api/subresources/subresources.h"
#include "server/api/writer.h"

namespace orch::server {
namespace {

using api::authenticationv1::TokenRequest;

api::ApiResult<Unit> check_uid(const api::GroupResource& resource, std::string_view name,
                               const std::string& wanted, const std::string& found) {
  if (wanted.empty() || wanted == found) return Unit{};
  return Err(api::conflict(
      resource, name,
      fmt::format("the UID in the bound object reference ({}) does not match the UID in record. "
                  "The object might have been deleted and then recreated",
                  wanted)));
}

api::ApiResult<Unit> bind_to(ApiServer& server, const TokenRequest& request,
                             TokenSubject& subject) {
  const auto& ref = request.spec.boundObjectRef;
  if (!ref) return Unit{};
  Registry& registry = server.registry();
  if (ref->kind == "Pod" && ref->apiVersion == "v1") {
    ORCH_TRY(auto pod, registry.get_typed<api::corev1::Pod>(subject.namespace_, ref->name));
    ORCH_CHECK(check_uid({"", "pods"}, ref->name, ref->uid, pod->metadata.uid));
    if (pod->spec.serviceAccountName != subject.service_account) {
      return Err(api::bad_request(
          fmt::format("cannot bind token for serviceaccount \"{}\" to pod running with different "
                      "serviceaccount name.",
                      subject.service_account)));
    }
    subject.pod_name = ref->name;
    subject.pod_uid = pod->metadata.uid;
    subject.node_name = pod->spec.nodeName;
    if (!subject.node_name.empty()) {
      auto node = registry.get_typed<api::corev1::Node>("", subject.node_name);
      if (node) subject.node_uid = (*node)->metadata.uid;
    }
    return Unit{};
  }
  if (ref->kind == "Secret" && ref->apiVersion == "v1") {
    ORCH_TRY(auto secret, registry.get_typed<api::corev1::Secret>(subject.namespace_, ref->name));
    ORCH_CHECK(check_uid({"", "secrets"}, ref->name, ref->uid, secret->metadata.uid));
    subject.secret_name = ref->name;
    subject.secret_uid = secret->metadata.uid;
    return Unit{};
  }
  if (ref->kind == "Node" && ref->apiVersion == "v1") {
    ORCH_TRY(auto node, registry.get_typed<api::corev1::Node>("", ref->name));
    ORCH_CHECK(check_uid({"", "nodes"}, ref->name, ref->uid, node->metadata.uid));
    subject.node_name = ref->name;
    subject.node_uid = node->metadata.uid;
    subject.bound_to_node = true;
    return Unit{};
  }
  const bool grouped = ref->apiVersion.find('/') != std::string::npos;
  return Err(api::bad_request(fmt::format("cannot bind token to object of type {}{}, Kind={}",
                                          grouped ? "" : "/", ref->apiVersion, ref->kind)));
}

}  // namespace

Answer serve_token(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                   net::HttpResponse& response) {
  ORCH_TRY(const Encoding encoding, encoding_of(call, server.env().clock.now(), false));
  ORCH_TRY(const WriteOptions options, write_options(call, "CreateOptions"));
  ORCH_TRY(auto object, decode_body(call, TokenRequest::type_info(), options.field_validation));
  auto& request = static_cast<TokenRequest&>(*object);
  auto& meta = request.metadata;
  if (!meta.name.empty() && meta.name != call.info.name) {
    return Err(api::bad_request(
        fmt::format("the name of the object ({}) does not match the name on the URL ({})",
                    meta.name, call.info.name)));
  }
  if (!meta.namespace_.empty() && meta.namespace_ != call.info.namespace_) {
    return Err(api::bad_request(fmt::format(
        "the namespace of the object ({}) does not match the namespace on the request ({})",
        meta.namespace_, call.info.namespace_)));
  }
  ORCH_TRY(auto account, server.registry().get_typed<api::corev1::ServiceAccount>(
                             call.info.namespace_, call.info.name));
  meta.name = call.info.name;
  meta.namespace_ = call.info.namespace_;
  Writer writer(server, call, resource, options);
  ORCH_CHECK(writer.admit(Operation::kCreate, meta.namespace_, meta.name, "token", &request));
  TokenSubject subject;
  subject.namespace_ = meta.namespace_;
  subject.service_account = meta.name;
  subject.service_account_uid = account->metadata.uid;
  ORCH_CHECK(bind_to(server, request, subject));
  TokenIssuer* issuer = server.hooks().token_issuer;
  if (issuer == nullptr) return Err(api::internal_error("no token issuer is configured"));
  meta.creationTimestamp = api::Time(server.env().clock.now());
  ORCH_CHECK(issuer->issue(subject, request));
  answer_json(encoding, api::to_json(request), &TokenRequest::type_info(), 201, response);
  return Unit{};
}

}  // namespace orch::server
