// Audit: a record of who asked for what, and how it was answered (audit.k8s.io/v1 Events). Off
// unless there is a policy. Any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/api/call.h"
#include "server/audit/policy.h"
#include "server/audit/sink.h"

namespace orch::server {

class AuditRecord;

class Auditor {
 public:
  // `strict`: a request whose RequestReceived event cannot be kept is not served.
  Auditor(AuditPolicy policy, std::vector<std::unique_ptr<AuditSink>> sinks, bool strict,
          Clock& clock)
      : policy_(std::move(policy)), sinks_(std::move(sinks)), strict_(strict), clock_(clock) {}

  // After authentication, before impersonation. Null: the policy wants nothing of this request.
  std::shared_ptr<AuditRecord> begin(const Call& call, const std::string& audit_id);

 private:
  friend class AuditRecord;
  bool send(const std::string& event);

  const AuditPolicy policy_;
  const std::vector<std::unique_ptr<AuditSink>> sinks_;
  const bool strict_;
  Clock& clock_;
};

// Of one request. Used by one thread at a time.
class AuditRecord {
 public:
  AuditRecord(Auditor& auditor, const AuditDecision& decision, const Call& call,
              const std::string& audit_id);
  // False: not kept, and the server is to serve nothing that is not audited.
  bool received();
  void impersonated(const UserInfo& user) { impersonated_ = user; }
  void annotate(std::string key, std::string value) { annotations_[key] = std::move(value); }
  // The request has no acceptable credentials.
  void unauthenticated(const std::string& attempted);
  // What runs long began to be answered.
  void started(int status);
  // Whether complete() wants the answer's body in one piece.
  bool wants_body(int status) const {
    return status >= 400 || decision_.level == AuditLevel::kRequestResponse;
  }
  // The whole answer, or the end of what ran long (no body then).
  void complete(const net::HttpResponse& response, bool whole);
  void panicked(const std::string& why);

 private:
  void look_at_request(const Call& call);
  bool emit(AuditStage stage, const std::string& status, const std::string& response_object = "");

  Auditor& auditor_;
  const AuditDecision decision_;
  std::string head_;  // of the event: what never changes
  RequestInfo info_;
  UserInfo user_;
  std::optional<UserInfo> impersonated_;
  std::string name_, uid_, resource_version_, request_object_, source_ips_, user_agent_;
  WallTime received_at_;
  std::map<std::string, std::string> annotations_;
};

struct AuditConfig {
  std::string policy_file;                                   // "" = no audit
  std::string log_path;                                      // "-" = standard output, "" = no log
  int log_maxage = 0, log_maxbackup = 0, log_maxsize = 100;  // days, files, MiB
  std::string log_mode = "blocking";                         // batch, blocking or blocking-strict
  std::string webhook_config_file;                           // a kubeconfig; "" = none
  std::string webhook_mode = "batch";
};
// Null when there is no policy or nowhere to write to. Error: a sentence naming the flag and file.
Result<std::unique_ptr<Auditor>, std::string> make_auditor(const AuditConfig& config, Clock& clock);

}  // namespace orch::server
