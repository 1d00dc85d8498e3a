#include "ctl/rbac_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;
using Texts = std::vector<std::string>;

Texts texts(const JsonValue& list) {
  Texts out;
  for (const JsonValue& item : list.items()) out.push_back(item.text());
  return out;
}

bool has(const Texts& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// One rule for each verb, group, resource (and name) or each verb and URL.
std::vector<Rule> broken_down(const std::vector<Rule>& rules) {
  std::vector<Rule> out;
  for (const Rule& rule : rules) {
    for (const std::string& group : rule.groups) {
      for (const std::string& resource : rule.resources) {
        for (const std::string& verb : rule.verbs) {
          if (rule.names.empty()) out.push_back({{verb}, {group}, {resource}, {}, {}});
          for (const std::string& name : rule.names) {
            out.push_back({{verb}, {group}, {resource}, {name}, {}});
          }
        }
      }
    }
    for (const std::string& url : rule.urls) {
      for (const std::string& verb : rule.verbs) out.push_back({{verb}, {}, {}, {}, {url}});
    }
  }
  return out;
}

bool covers_url(const Texts& held, const std::string& url) {
  return std::any_of(held.begin(), held.end(), [&](const std::string& one) {
    return one == url || (one.ends_with("*") && url.starts_with(one.substr(0, one.size() - 1)));
  });
}

bool covers(const Rule& held, const Rule& one) {
  if (!has(held.verbs, "*") && !has(held.verbs, one.verbs[0])) return false;
  if (!one.urls.empty()) return covers_url(held.urls, one.urls[0]);
  const std::string& resource = one.resources[0];
  const size_t slash = resource.find('/');
  const bool resource_covered =
      has(held.resources, "*") || has(held.resources, resource) ||
      (slash != std::string::npos && has(held.resources, "*" + resource.substr(slash)));
  const bool group_covered = has(held.groups, "*") || has(held.groups, one.groups[0]);
  const bool name_covered =
      held.names.empty() || (!one.names.empty() && has(held.names, one.names[0]));
  return resource_covered && group_covered && name_covered;
}

}  // namespace

Rule read_rule(const JsonValue& rule) {
  return {texts(rule.get("verbs")), texts(rule.get("apiGroups")), texts(rule.get("resources")),
          texts(rule.get("resourceNames")), texts(rule.get("nonResourceURLs"))};
}

JsonValue rule_json(const Rule& rule) {
  JsonValue out = JsonValue::object();
  for (const auto& [key, list] : {std::pair{"verbs", &rule.verbs},
                                  {"apiGroups", &rule.groups},
                                  {"resources", &rule.resources},
                                  {"resourceNames", &rule.names},
                                  {"nonResourceURLs", &rule.urls}}) {
    if (list->empty()) continue;
    JsonValue values = JsonValue::array();
    for (const std::string& text : *list) values.push_back(text);
    out.set(key, std::move(values));
  }
  return out;
}

std::string rule_text(const Rule& rule) {
  return fmt::format(
      "{{Verbs:[{}] APIGroups:[{}] Resources:[{}] ResourceNames:[{}] NonResourceURLs:[{}]}}",
      join(rule.verbs, " "), join(rule.groups, " "), join(rule.resources, " "),
      join(rule.names, " "), join(rule.urls, " "));
}

std::string rule_resource(const Rule& rule) {
  std::string out = rule.resources.empty() ? "" : rule.resources[0];
  if (!rule.groups.empty() && !rule.groups[0].empty()) {
    const size_t slash = out.find('/');
    out.insert(slash == std::string::npos ? out.size() : slash, "." + rule.groups[0]);
  }
  return out;
}

std::vector<Rule> compacted(const std::vector<Rule>& rules) {
  std::vector<Rule> out;
  for (const Rule& rule : rules) {
    for (const Rule& one : broken_down({rule})) {
      if (!one.urls.empty()) {
        out.push_back(one);
        continue;
      }
      auto same = std::find_if(out.begin(), out.end(), [&](const Rule& held) {
        return held.urls.empty() && held.groups == one.groups && held.resources == one.resources &&
               held.names == one.names;
      });
      if (same == out.end()) {
        out.push_back(one);
      } else if (!has(same->verbs, one.verbs[0])) {
        same->verbs.push_back(one.verbs[0]);
      }
    }
  }
  return out;
}

std::vector<Rule> uncovered(const std::vector<Rule>& held, const std::vector<Rule>& wanted) {
  std::vector<Rule> out;
  for (const Rule& one : broken_down(wanted)) {
    if (std::none_of(held.begin(), held.end(),
                     [&](const Rule& rule) { return covers(rule, one); })) {
      out.push_back(one);
    }
  }
  return compacted(out);
}

}  // namespace orch::ctl
