// deployment, job, cronjob, namespace, serviceaccount.
#include <fmt/format.h>

#include "ctl/generate/generate.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

JsonValue only(JsonValue item) {
  JsonValue out = JsonValue::array();
  out.push_back(std::move(item));
  return out;
}

JsonValue container_of(const std::string& name, const std::string& image,
                       const std::vector<std::string>& command) {
  JsonValue out = JsonValue::object();
  out.set("name", name);
  out.set("image", image);
  if (!command.empty()) out.set("command", list_of(command));
  return out;
}

Outcome<JsonValue> deployment(Session& session, const std::string& name) {
  const Flags& flags = session.flags;
  ORCH_CHECK(need_flag(flags, "image"));
  const auto images = flags.comma_list("image");
  const auto command = words_after_dash(flags);
  if (images.size() > 1 && !command.empty()) {
    return Err(error("cannot specify multiple --image options and command"));
  }
  ORCH_TRY(const int64_t replicas, flags.given("replicas") ? flags.number("replicas") : 1);
  JsonValue labels = JsonValue::object(), containers = JsonValue::array();
  labels.set("app", name);
  for (size_t i = 0; i < images.size(); ++i) {
    // "registry/team/nginx:1.2" -> "nginx"
    std::string base = images[i].substr(images[i].rfind('/') + 1);
    base = base.substr(0, base.find_first_of(":@"));
    JsonValue container = container_of(base, images[i], command);
    if (i == 0 && flags.given("port")) {
      ORCH_TRY(const int64_t number, flags.number("port"));
      JsonValue port = JsonValue::object();
      port.set("containerPort", number);
      container.set("ports", only(std::move(port)));
    }
    containers.push_back(std::move(container));
  }
  JsonValue out = new_object("apps/v1", "Deployment", name);
  out.set_at("metadata.labels", labels);
  out.set_at("spec.replicas", replicas);
  out.set_at("spec.selector.matchLabels", labels);
  out.set_at("spec.template.metadata.labels", labels);
  out.set_at("spec.template.spec.containers", std::move(containers));
  return out;
}

// The Job a CronJob would make now.
Outcome<JsonValue> job_from(Session& session, const std::string& name, const std::string& from) {
  ORCH_TRY(const auto targets, session.targets({from}));
  ORCH_TRY(const JsonValue source, session.fetch(targets[0]));
  if (source.get("kind").text() != "CronJob") {
    return Err(error(fmt::format("from must be an existing cronjob")));
  }
  JsonValue out = new_object("batch/v1", "Job", name);
  JsonValue annotations = source.at("spec.jobTemplate.metadata.annotations");
  annotations.set("cronjob.kubernetes.io/instantiate", "manual");
  out.set_at("metadata.annotations", std::move(annotations));
  if (const JsonValue labels = source.at("spec.jobTemplate.metadata.labels"); !labels.is_null()) {
    out.set_at("metadata.labels", labels);
  }
  JsonValue owner = JsonValue::object();
  owner.set("apiVersion", "batch/v1");
  owner.set("kind", "CronJob");
  owner.set("name", source.at("metadata.name"));
  owner.set("uid", source.at("metadata.uid"));
  owner.set("controller", true);
  out.set_at("metadata.ownerReferences", only(std::move(owner)));
  out.set("spec", source.at("spec.jobTemplate.spec"));
  return out;
}

Outcome<JsonValue> job(Session& session, const std::string& name) {
  const Flags& flags = session.flags;
  const std::string from = flags.text("from");
  const auto command = words_after_dash(flags);
  if (!flags.given("image") && from.empty()) {
    return Err(error("either --image or --from must be specified"));
  }
  if (flags.given("image") && !from.empty()) {
    return Err(error("either --image or --from must be specified"));
  }
  if (!from.empty()) {
    if (!command.empty()) return Err(error("cannot specify --from and command"));
    return job_from(session, name, from);
  }
  JsonValue out = new_object("batch/v1", "Job", name);
  out.set_at("spec.template.spec.containers",
             only(container_of(name, flags.text("image"), command)));
  out.set_at("spec.template.spec.restartPolicy", "Never");
  return out;
}

Outcome<JsonValue> cron_job(Session& session, const std::string& name) {
  const Flags& flags = session.flags;
  std::vector<std::string> missing;
  for (const char* flag : {"image", "schedule"}) {
    if (!flags.given(flag)) missing.push_back(fmt::format("\"{}\"", flag));
  }
  if (!missing.empty()) {
    return Err(error(fmt::format("required flag(s) {} not set", join(missing, ", "))));
  }
  JsonValue out = new_object("batch/v1", "CronJob", name);
  out.set_at("spec.schedule", flags.text("schedule"));
  out.set_at("spec.jobTemplate.metadata.name", name);
  out.set_at("spec.jobTemplate.spec.template.spec.containers",
             only(container_of(name, flags.text("image"), words_after_dash(flags))));
  out.set_at("spec.jobTemplate.spec.template.spec.restartPolicy",
             flags.given("restart") ? flags.text("restart") : "OnFailure");
  return out;
}

Outcome<JsonValue> name_space(Session&, const std::string& name) {
  return new_object("v1", "Namespace", name);
}

Outcome<JsonValue> service_account(Session&, const std::string& name) {
  return new_object("v1", "ServiceAccount", name);
}

}  // namespace

std::vector<std::string> words_after_dash(const Flags& flags) {
  if (!flags.dash_at()) return {};
  return {flags.args().begin() + static_cast<long>(*flags.dash_at()), flags.args().end()};
}

Outcome<Unit> need_flag(const Flags& flags, std::string_view name) {
  if (flags.given(name)) return Unit{};
  return Err(error(fmt::format("required flag(s) \"{}\" not set", name)));
}

std::vector<Generated> generated_workloads() {
  return {{"deployment", "deploy", "failed to create deployment: ", deployment},
          {"job", "", "failed to create job: ", job},
          {"cronjob", "cj", "failed to create cronjob: ", cron_job},
          {"namespace", "ns", "", name_space},
          {"serviceaccount", "sa", "failed to create serviceaccount: ", service_account}};
}

const std::vector<Generated>& generated_kinds() {
  static const std::vector<Generated> kinds = [] {
    std::vector<Generated> out;
    for (auto part : {generated_workloads, generated_config, generated_access, generated_network,
                      generated_policy}) {
      for (const Generated& one : part()) out.push_back(one);
    }
    return out;
  }();
  return kinds;
}

}  // namespace orch::ctl
