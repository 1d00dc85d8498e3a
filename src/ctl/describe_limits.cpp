// Namespaces, and what limits them: ResourceQuotas and LimitRanges.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "ctl/describe.h"
#include "orch/base/strings.h"

namespace orch::ctl {

using api::JsonValue;

namespace {

constexpr const char* kLimitColumns =
    "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio\n";
constexpr const char* kLimitLines =
    "----\t--------\t---\t---\t---------------\t-------------\t-----------------------\n";

std::vector<JsonValue> by_name(std::vector<JsonValue> objects) {
  std::sort(objects.begin(), objects.end(), [](const JsonValue& a, const JsonValue& b) {
    return a.at("metadata.name").text() < b.at("metadata.name").text();
  });
  return objects;
}

std::string_view scope_help(std::string_view scope) {
  if (scope == "Terminating") {
    return "Matches all pods that have an active deadline. These pods have a limited lifespan on a "
           "node before being actively terminated by the system.";
  }
  if (scope == "NotTerminating") {
    return "Matches all pods that do not have an active deadline. These pods usually include long "
           "running pods whose container command is not expected to terminate.";
  }
  if (scope == "BestEffort") {
    return "Matches all pods that do not have resource requirements set. These pods have a best "
           "effort quality of service.";
  }
  if (scope == "NotBestEffort") {
    return "Matches all pods that have at least one resource requirement set. These pods have a "
           "burstable or guaranteed quality of service.";
  }
  return "";
}

std::string scopes(const JsonValue& quota, const std::string& pad) {
  std::vector<std::string> names;
  for (const JsonValue& scope : quota.at("spec.scopes").items()) names.push_back(scope.text());
  if (names.empty()) return "";
  std::sort(names.begin(), names.end());
  std::string out = fmt::format("{}Scopes:\t{}\n", pad, join(names, ", "));
  for (const std::string& name : names) {
    if (const auto help = scope_help(name); !help.empty()) {
      out += fmt::format("{} * {}\n", pad, help);
    }
  }
  return out;
}

// `line`: what stands below Used and Hard, three dashes within a Namespace, four alone.
std::string quota_rows(const JsonValue& quota, const std::string& pad, std::string_view line) {
  std::string out = fmt::format("{0}Resource\tUsed\tHard\n{0}--------\t{1}\t{1}\n", pad, line);
  const JsonValue used = quota.at("status.used");
  std::map<std::string, std::string> hard;
  for (const auto& [resource, value] : quota.at("status.hard").members()) {
    hard[std::string(resource)] = value.text();
  }
  for (const auto& [resource, value] : hard) {
    const std::string now = used.get(resource).text();
    out += fmt::format("{}{}\t{}\t{}\n", pad, resource, now.empty() ? "0" : now, value);
  }
  return out;
}

std::string limit_rows(const JsonValue& range, const std::string& pad) {
  std::string out;
  for (const JsonValue& item : range.at("spec.limits").items()) {
    constexpr const char* kParts[] = {"min", "max", "defaultRequest", "default",
                                      "maxLimitRequestRatio"};
    std::set<std::string> resources;
    for (const char* part : kParts) {
      for (const auto& [resource, value] : item.get(part).members()) {
        resources.insert(std::string(resource));
      }
    }
    for (const std::string& resource : resources) {
      out += fmt::format("{}{}\t{}", pad, item.get("type").text(), resource);
      for (const char* part : kParts) {
        const std::string value = item.get(part).get(resource).text();
        out += '\t' + (value.empty() ? "-" : value);
      }
      out += '\n';
    }
  }
  return out;
}

}  // namespace

std::string describe_namespace(const Described& what) {
  std::string out = describe_head(what.object, false) + describe_labels(what.object) +
                    fmt::format("Status:\t{}\n", what.object.at("status.phase").text());
  if (what.quotas.empty()) {
    out += "\nNo resource quota.\n";
  } else {
    out += "\nResource Quotas\n";
    for (const JsonValue& quota : by_name(what.quotas)) {
      out += fmt::format("  Name:\t{}\n", quota.at("metadata.name").text()) + scopes(quota, "  ") +
             quota_rows(quota, "  ", "---");
    }
  }
  if (what.limit_ranges.empty()) return out + "\nNo LimitRange resource.\n";
  out += fmt::format("\nResource Limits\n {} {}", kLimitColumns, kLimitLines);
  for (const JsonValue& range : what.limit_ranges) out += limit_rows(range, " ");
  return out;
}

std::string describe_quota(const Described& what) {
  return describe_head(what.object, true) + scopes(what.object, "") +
         quota_rows(what.object, "", "----");
}

std::string describe_limit_range(const Described& what) {
  return describe_head(what.object, true) + kLimitColumns + kLimitLines +
         limit_rows(what.object, "");
}

}  // namespace orch::ctl
