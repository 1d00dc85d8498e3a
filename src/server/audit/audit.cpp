#include "server/audit/audit.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/codec.h"
#include "orch/api/json_value.h"
#include "orch/base/file.h"
#include "orch/base/json_scan.h"
#include "orch/base/metrics.h"
#include "orch/base/strings.h"
#include "server/api/body.h"

namespace orch::server {
namespace {

using api::JsonValue;

constexpr size_t kUserAgentMax = 1024;
constexpr size_t kSourcesMax = 16;

void add(std::string& to, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  to +=
      fmt::format("{}\"{}\":{}", to.empty() || to.back() == '{' ? "" : ",", key, json_quote(value));
}

std::string list_json(const std::vector<std::string>& values) {
  std::string out = "[";
  for (const auto& value : values) out += (out.size() == 1 ? "" : ",") + json_quote(value);
  return out + "]";
}

std::string user_json(const UserInfo& user) {
  std::string out = "{";
  add(out, "username", user.name);
  add(out, "uid", user.uid);
  const auto comma = [&] { return out.size() == 1 ? "" : ","; };
  if (!user.groups.empty()) {
    out += fmt::format("{}\"groups\":{}", comma(), list_json(user.groups));
  }
  if (!user.extra.empty()) {
    out += fmt::format("{}\"extra\":{{", comma());
    for (const auto& [key, values] : user.extra) {
      out +=
          fmt::format("{}{}:{}", out.back() == '{' ? "" : ",", json_quote(key), list_json(values));
    }
    out += "}";
  }
  return out + "}";
}

// Proxies' word first, who is at the other end of the wire last.
std::string sources_json(const net::HttpRequest* http) {
  std::vector<std::string> out;
  if (http == nullptr) return list_json(out);
  for (auto [it, end] = http->headers.equal_range("X-Forwarded-For"); it != end; ++it) {
    for (const auto& part : split(it->second, ',')) {
      if (out.size() < kSourcesMax) out.emplace_back(trim(part));
    }
  }
  const std::string real(net::header(http->headers, "X-Real-Ip"));
  if (!real.empty() && (out.empty() || out.back() != real)) out.push_back(real);
  std::string remote = http->remote_address.substr(0, http->remote_address.rfind(':'));
  if (remote.starts_with('[') && remote.ends_with(']'))
    remote = remote.substr(1, remote.size() - 2);
  if (!remote.empty() && (out.empty() || out.back() != remote)) out.push_back(remote);
  return list_json(out);
}

// One line, without the fields nobody wants to read if so decided. "" = no JSON.
std::string object_json(const std::string& text, bool omit_managed_fields) {
  auto value = JsonValue::parse(text);
  if (!value) return "";
  if (omit_managed_fields) {
    const auto strip = [](JsonValue& object) {
      if (!object.get("metadata").has("managedFields")) return;
      JsonValue meta = object.get("metadata");
      meta.erase("managedFields");
      object.set("metadata", std::move(meta));
    };
    strip(*value);
    if (value->get("items").is_array()) {
      JsonValue items = JsonValue::array();
      for (auto& item : value->get("items").items()) {
        strip(item);
        items.push_back(std::move(item));
      }
      value->set("items", std::move(items));
    }
  }
  return value->dump();
}

bool is_protobuf(std::string_view content_type) {
  return content_type.find("protobuf") != std::string_view::npos;
}

// An object of the request's own kind out of protobuf; null for anything else.
std::unique_ptr<api::Object> from_protobuf(const RequestInfo& info, std::string_view content_type,
                                           const std::string& body) {
  const auto* resource = api::find_resource(info.group, info.version, info.resource);
  if (resource == nullptr || !info.subresource.empty()) return nullptr;
  Call call;
  call.info = info;
  call.content_type = content_type;
  call.body = body;
  auto object = decode_body(call, *resource->type, FieldValidation::kIgnore);
  return object ? std::move(*object) : nullptr;
}

bool is_json(std::string_view content_type) {
  return content_type.empty() || content_type.find("json") != std::string_view::npos;
}

std::string now_text(Clock& clock) { return api::MicroTime(clock.now()).str(); }

}  // namespace

bool Auditor::send(const std::string& event) {
  bool kept = true;
  for (const auto& sink : sinks_) {
    if (sink->write({event})) continue;
    kept = false;
    metrics::counter("apiserver_audit_error_total", "Audit events that were lost.",
                     "plugin=\"sink\"")
        .add();
  }
  metrics::counter("apiserver_audit_event_total", "Audit events that were made.").add();
  return kept;
}

std::shared_ptr<AuditRecord> Auditor::begin(const Call& call, const std::string& audit_id) {
  const AuditDecision decision = policy_.decide(call.info, call.user);
  if (decision.level == AuditLevel::kNone) return nullptr;
  return std::make_shared<AuditRecord>(*this, decision, call, audit_id);
}

AuditRecord::AuditRecord(Auditor& auditor, const AuditDecision& decision, const Call& call,
                         const std::string& audit_id)
    : auditor_(auditor),
      decision_(decision),
      info_(call.info),
      user_(call.user),
      name_(call.info.name),
      source_ips_(sources_json(call.http)),
      received_at_(auditor.clock_.now()) {
  user_agent_ = call.user_agent.substr(0, kUserAgentMax);
  head_ =
      fmt::format(R"({{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"{}","auditID":{})",
                  to_text(decision.level), json_quote(audit_id));
  const std::string uri = call.http != nullptr ? call.http->target : call.info.path;
  add(head_, "requestURI", uri);
  add(head_, "verb", info_.verb);
  look_at_request(call);
}

void AuditRecord::look_at_request(const Call& call) {
  if (!info_.is_resource || call.body.empty()) return;
  const bool patch = info_.verb == "patch";
  if (is_json(call.content_type) && !patch) {
    const auto at = [&](std::string_view path) {
      const auto raw = json_path(call.body, path);
      return raw ? json_string(*raw).value_or("") : std::string();
    };
    if (name_.empty()) name_ = at("metadata.name");
    uid_ = at("metadata.uid");
    resource_version_ = at("metadata.resourceVersion");
  }
  std::string json;
  if (is_protobuf(call.content_type)) {
    const auto object = from_protobuf(info_, call.content_type, call.body);
    if (object == nullptr) return;
    if (name_.empty()) name_ = object->metadata.name;
    uid_ = object->metadata.uid;
    resource_version_ = object->metadata.resourceVersion;
    if (decision_.level >= AuditLevel::kRequest) json = api::to_json(*object);
  } else if (decision_.level >= AuditLevel::kRequest) {
    std::vector<std::string> findings;
    if (auto text = body_json(call, &findings)) json = std::move(*text);
  }
  if (json.empty()) return;
  request_object_ = object_json(json, decision_.omit_managed_fields);
}

bool AuditRecord::emit(AuditStage stage, const std::string& status,
                       const std::string& response_object) {
  if (decision_.omits(stage)) return true;
  std::string event = head_;
  add(event, "stage", to_text(stage));
  event += ",\"user\":" + user_json(user_);
  if (impersonated_) event += ",\"impersonatedUser\":" + user_json(*impersonated_);
  event += ",\"sourceIPs\":" + source_ips_;
  add(event, "userAgent", user_agent_);
  if (info_.is_resource) {
    std::string ref = "{";
    add(ref, "resource", info_.resource);
    add(ref, "namespace", info_.namespace_);
    add(ref, "name", name_);
    add(ref, "uid", uid_);
    add(ref, "apiGroup", info_.group);
    add(ref, "apiVersion", info_.version);
    add(ref, "resourceVersion", resource_version_);
    add(ref, "subresource", info_.subresource);
    event += ",\"objectRef\":" + ref + "}";
  }
  if (!status.empty()) event += ",\"responseStatus\":" + status;
  if (stage != AuditStage::kRequestReceived && !request_object_.empty()) {
    event += ",\"requestObject\":" + request_object_;
  }
  if (!response_object.empty()) event += ",\"responseObject\":" + response_object;
  add(event, "requestReceivedTimestamp", api::MicroTime(received_at_).str());
  add(event, "stageTimestamp", now_text(auditor_.clock_));
  if (!annotations_.empty()) {
    event += ",\"annotations\":{";
    for (const auto& [key, value] : annotations_) add(event, key, value);
    event += "}";
  }
  return auditor_.send(event + "}");
}

bool AuditRecord::received() { return emit(AuditStage::kRequestReceived, "") || !auditor_.strict_; }

void AuditRecord::unauthenticated(const std::string& attempted) {
  emit(AuditStage::kResponseStarted,
       fmt::format(R"({{"metadata":{{}},"status":"Failure","message":{},"code":401}})",
                   json_quote("Authentication failed, attempted: " + attempted)));
}

void AuditRecord::started(int status) {
  emit(AuditStage::kResponseStarted, fmt::format(R"({{"metadata":{{}},"code":{}}})", status));
}

void AuditRecord::complete(const net::HttpResponse& response, bool whole) {
  std::string status = fmt::format(R"({{"metadata":{{}},"code":{}}})", response.status);
  std::string object;
  const bool json = whole && is_json(net::header(response.headers, "Content-Type"));
  const bool wants = decision_.level == AuditLevel::kRequestResponse;
  if (json && wants_body(response.status)) {
    const std::string& body = response.body;
    if (auto value = JsonValue::parse(body);
        value && response.status >= 400 && value->get("kind").text() == "Status") {
      JsonValue shown = JsonValue::object();
      shown.set("metadata", JsonValue::object());
      for (const char* field : {"status", "message", "reason", "details", "code"}) {
        if (value->has(field)) shown.set(field, value->get(field));
      }
      status = shown.dump();
    }
    if (wants && info_.is_resource) object = object_json(body, decision_.omit_managed_fields);
  }
  const auto type = net::header(response.headers, "Content-Type");
  if (whole && wants && response.status < 300 && is_protobuf(type)) {
    if (const auto answered = from_protobuf(info_, type, response.body)) {
      object = object_json(api::to_json(*answered), decision_.omit_managed_fields);
    }
  }
  if (info_.verb == "create" && name_.empty() && json && response.status < 300) {
    const auto raw = json_path(response.body, "metadata.name");
    if (raw) name_ = json_string(*raw).value_or("");
  }
  emit(AuditStage::kResponseComplete, status, object);
}

void AuditRecord::panicked(const std::string& why) {
  emit(AuditStage::kPanic,
       fmt::format(R"({{"metadata":{{}},"status":"Failure","message":{},"reason":"InternalError",)"
                   R"("code":500}})",
                   json_quote("APIServer panic'd: " + why)));
}

// ---- configuration ----

namespace {

constexpr int kFileBatchWaitMs = 1000;

Result<bool, std::string> batches(const std::string& flag, const std::string& mode) {
  if (mode == "batch") return true;
  if (mode == "blocking" || mode == "blocking-strict") return false;
  return Err(fmt::format("--{}: \"{}\" is none of batch, blocking, blocking-strict", flag, mode));
}

}  // namespace

Result<std::unique_ptr<Auditor>, std::string> make_auditor(const AuditConfig& config,
                                                           Clock& clock) {
  const bool anywhere = !config.log_path.empty() || !config.webhook_config_file.empty();
  if (config.policy_file.empty()) {
    if (!anywhere) return std::unique_ptr<Auditor>();
    return Err(std::string("--audit-policy-file is missing: without a policy nothing is audited"));
  }
  const auto text = read_file(config.policy_file);
  if (!text) return Err("--audit-policy-file: " + text.error());
  auto policy = AuditPolicy::parse(*text);
  if (!policy) return Err("--audit-policy-file " + config.policy_file + ": " + policy.error());
  if (!anywhere) return std::unique_ptr<Auditor>();
  std::vector<std::unique_ptr<AuditSink>> sinks;
  bool strict = false;
  if (!config.log_path.empty()) {
    ORCH_TRY(const bool batch, batches("audit-log-mode", config.log_mode));
    strict = config.log_mode == "blocking-strict";
    AuditFileOptions options;
    options.path = config.log_path;
    options.bytes_max = static_cast<uint64_t>(config.log_maxsize) << 20;
    options.backups_max = config.log_maxbackup;
    options.days_max = config.log_maxage;
    auto file = make_audit_file(options, clock);
    if (!file) return Err("--audit-log-path: " + file.error());
    sinks.push_back(
        batch ? make_audit_batches(std::move(*file), {10000, 1000, Millis{kFileBatchWaitMs}})
              : std::move(*file));
  }
  if (!config.webhook_config_file.empty()) {
    ORCH_TRY(const bool batch, batches("audit-webhook-mode", config.webhook_mode));
    strict = strict || config.webhook_mode == "blocking-strict";
    auto webhook = make_audit_webhook(config.webhook_config_file);
    if (!webhook) return Err("--audit-webhook-config-file: " + webhook.error());
    sinks.push_back(batch ? make_audit_batches(std::move(*webhook), {}) : std::move(*webhook));
  }
  return std::make_unique<Auditor>(std::move(*policy), std::move(sinks), strict, clock);
}

}  // namespace orch::server
