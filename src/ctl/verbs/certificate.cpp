// certificate approve, certificate deny: conditions of CertificateSigningRequests.
#include <fmt/format.h>

#include "ctl/write.h"
#include "orch/api/value.h"
#include "orch/base/clock.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

Outcome<int> decide(Session& session, std::vector<std::string> args, std::string_view type) {
  const bool approves = type == "Approved";
  if (args.empty() && !session.flags.given("filename")) {
    return Err(error("one or more CSRs must be specified as <name> or -f <filename>"));
  }
  if (!args.empty()) args.insert(args.begin(), "certificatesigningrequests");
  ORCH_TRY(const auto targets, session.targets(args));
  ORCH_TRY(const Writer writer, Writer::of(session, ""));
  return for_each_target(targets, [&](const Target& target) -> Outcome<Unit> {
    ORCH_TRY(JsonValue object, session.fetch(target));
    JsonValue conditions = JsonValue::array();
    bool there = false;
    for (const JsonValue& condition : object.at("status.conditions").items()) {
      const std::string has = condition.get("type").text();
      if (has == (approves ? "Denied" : "Approved")) {
        return Err(error(
            fmt::format("certificate signing request \"{}\" is already {}", target.name, has)));
      }
      there = there || has == type;
      conditions.push_back(condition);
    }
    if (!there || session.flags.on("force")) {
      JsonValue condition = JsonValue::object();
      condition.set("type", type);
      condition.set("status", "True");
      condition.set("reason", approves ? "KubectlApprove" : "KubectlDeny");
      condition.set("message", approves ? "This CSR was approved by kubectl certificate approve."
                                        : "This CSR was denied by kubectl certificate deny.");
      condition.set("lastUpdateTime", api::Time(system_clock().now()).str());
      conditions.push_back(std::move(condition));
      object.set_at("status.conditions", std::move(conditions));
      ORCH_TRY(object,
               writer.send("PUT", target.path("approval"), object.dump(), "application/json"));
    }
    writer.print(target, approves ? "approved" : "denied", object);
    return Unit{};
  });
}

constexpr SubVerb kSubVerbs[] = {
    {"approve", "",
     [](Session& s, std::vector<std::string> args) { return decide(s, args, "Approved"); }},
    {"deny", "",
     [](Session& s, std::vector<std::string> args) { return decide(s, args, "Denied"); }}};

}  // namespace

Verb certificate_verb() {
  std::vector<Flag> flags = {
      {"force", 0, Flag::Kind::kBool, "false", "write the condition although it is there"}};
  return {"certificate", "Approve or deny certificate signing requests",
          "certificate (approve | deny) (NAME... | -f FILE)", flags + file_flags() + output_flags(),
          [](Session& session) { return run_sub_verb(session, "certificate", kSubVerbs); }};
}

}  // namespace orch::ctl
