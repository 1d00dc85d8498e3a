#include "server/auth/rbac.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

namespace orch::server {
namespace {

using api::rbacv1::PolicyRule;
using List = std::vector<std::string>;

bool has(const List& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

bool has_or_all(const List& list, std::string_view value) {
  return has(list, "*") || has(list, value);
}

// `combined` = resource, or resource/subresource. "*/scale" stands for that part of anything.
bool resource_in(const List& resources, std::string_view combined) {
  if (has_or_all(resources, combined)) return true;
  const size_t slash = combined.find('/');
  return slash != std::string_view::npos &&
         has(resources, "*" + std::string(combined.substr(slash)));
}

bool path_in(const List& urls, std::string_view path) {
  return std::any_of(urls.begin(), urls.end(), [path](std::string_view url) {
    if (url == "*" || url == path) return true;
    return url.ends_with("*") && path.starts_with(url.substr(0, url.size() - 1));
  });
}

PolicyRule resource_rule(const std::string& verb, const std::string& group,
                         const std::string& resource) {
  PolicyRule out;
  out.verbs = {verb};
  out.apiGroups = {group};
  out.resources = {resource};
  return out;
}

// Into rules of one of each.
PolicyRules broken_down(const PolicyRule& rule) {
  PolicyRules out;
  for (const auto& group : rule.apiGroups) {
    for (const auto& resource : rule.resources) {
      for (const auto& verb : rule.verbs) {
        if (rule.resourceNames.empty()) out.push_back(resource_rule(verb, group, resource));
        for (const auto& name : rule.resourceNames) {
          out.push_back(resource_rule(verb, group, resource));
          out.back().resourceNames = {name};
        }
      }
    }
  }
  for (const auto& url : rule.nonResourceURLs) {
    for (const auto& verb : rule.verbs) {
      auto& part = out.emplace_back();
      part.verbs = {verb};
      part.nonResourceURLs = {url};
    }
  }
  return out;
}

// `part` is broken down.
bool covers(const PolicyRule& held, const PolicyRule& part) {
  if (!has_or_all(held.verbs, part.verbs[0])) return false;
  if (!part.nonResourceURLs.empty()) return path_in(held.nonResourceURLs, part.nonResourceURLs[0]);
  if (!has_or_all(held.apiGroups, part.apiGroups[0])) return false;
  if (!resource_in(held.resources, part.resources[0])) return false;
  if (held.resourceNames.empty()) return true;
  return !part.resourceNames.empty() && has(held.resourceNames, part.resourceNames[0]);
}

void show_list(std::string& out, std::string_view label, const List& list) {
  if (list.empty()) return;
  if (!out.empty()) out += ", ";
  out += fmt::format("{}:[", label);
  for (size_t i = 0; i < list.size(); ++i) {
    if (i != 0) out += ' ';
    out += api::go_quoted(list[i]);
  }
  out += ']';
}

}  // namespace

bool rule_allows(const PolicyRule& rule, const Attributes& attributes) {
  if (!has_or_all(rule.verbs, attributes.verb)) return false;
  if (!attributes.resource_request) return path_in(rule.nonResourceURLs, attributes.path);
  if (!has_or_all(rule.apiGroups, attributes.group)) return false;
  if (!rule.resourceNames.empty() && !has(rule.resourceNames, attributes.name)) return false;
  if (attributes.subresource.empty()) return resource_in(rule.resources, attributes.resource);
  return resource_in(rule.resources, attributes.resource + "/" + attributes.subresource);
}

bool subject_matches(const api::rbacv1::Subject& subject, const UserInfo& user,
                     std::string_view binding_namespace) {
  if (subject.kind == "User") return user.name == subject.name;
  if (subject.kind == "Group") return user.in_group(subject.name);
  if (subject.kind != "ServiceAccount") return false;
  const std::string_view ns =
      subject.namespace_.empty() ? binding_namespace : std::string_view(subject.namespace_);
  constexpr std::string_view kPrefix = "system:serviceaccount:";
  const std::string_view name = user.name;
  return !ns.empty() && name.size() == kPrefix.size() + ns.size() + 1 + subject.name.size() &&
         name.starts_with(kPrefix) && name.substr(kPrefix.size()).starts_with(ns) &&
         name[kPrefix.size() + ns.size()] == ':' && name.ends_with(subject.name);
}

PolicyRules uncovered(const PolicyRules& held, const PolicyRules& wanted) {
  PolicyRules out;
  for (const auto& rule : wanted) {
    for (auto& part : broken_down(rule)) {
      const bool covered = std::any_of(held.begin(), held.end(),
                                       [&](const PolicyRule& h) { return covers(h, part); });
      if (!covered) out.push_back(std::move(part));
    }
  }
  return out;
}

PolicyRules compacted(const PolicyRules& rules) {
  PolicyRules out;
  std::map<std::tuple<std::string, std::string, std::string, bool>, size_t> simple;
  for (const auto& rule : rules) {
    const bool joinable = rule.apiGroups.size() == 1 && rule.resources.size() == 1 &&
                          rule.resourceNames.size() <= 1 && rule.nonResourceURLs.empty();
    if (!joinable) {
      out.push_back(rule);
      continue;
    }
    const bool named = !rule.resourceNames.empty();
    auto [it, fresh] = simple.try_emplace(
        {rule.apiGroups[0], rule.resources[0], named ? rule.resourceNames[0] : "", named},
        out.size());
    if (fresh) {
      out.push_back(rule);
      continue;
    }
    for (const auto& verb : rule.verbs) {
      if (!has(out[it->second].verbs, verb)) out[it->second].verbs.push_back(verb);
    }
  }
  return out;
}

std::string shown(const PolicyRule& rule) {
  std::string out;
  show_list(out, "APIGroups", rule.apiGroups);
  show_list(out, "Resources", rule.resources);
  show_list(out, "NonResourceURLs", rule.nonResourceURLs);
  show_list(out, "ResourceNames", rule.resourceNames);
  show_list(out, "Verbs", rule.verbs);
  return "{" + out + "}";
}

}  // namespace orch::server
