#include "server/http/flow_rules.h"

#include <algorithm>

#include "orch/api/flow_defaults.h"

namespace orch::server {
namespace {

using namespace api::flowcontrolv1;
using Names = std::vector<std::string>;

constexpr std::string_view kAccountPrefix = "system:serviceaccount:";

bool holds(const Names& names, std::string_view value) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return name == "*" || name == value; });
}

bool matches(const Subject& subject, const UserInfo& user) {
  if (subject.user) return subject.user->name == "*" || subject.user->name == user.name;
  if (subject.group) return subject.group->name == "*" || user.in_group(subject.group->name);
  if (!subject.serviceAccount || !user.name.starts_with(kAccountPrefix)) return false;
  const std::string_view account = std::string_view(user.name).substr(kAccountPrefix.size());
  const size_t colon = account.find(':');
  if (colon == std::string_view::npos) return false;
  return account.substr(0, colon) == subject.serviceAccount->namespace_ &&
         (subject.serviceAccount->name == "*" ||
          account.substr(colon + 1) == subject.serviceAccount->name);
}

bool matches(const ResourcePolicyRule& rule, const RequestInfo& info) {
  if (!holds(rule.verbs, info.verb) || !holds(rule.apiGroups, info.group)) return false;
  const bool resource =
      info.subresource.empty()
          ? holds(rule.resources, info.resource)
          : std::any_of(rule.resources.begin(), rule.resources.end(), [&](const std::string& r) {
              return r == "*" || (r.size() == info.resource.size() + info.subresource.size() + 1 &&
                                  r.starts_with(info.resource) && r[info.resource.size()] == '/' &&
                                  r.ends_with(info.subresource));
            });
  if (!resource) return false;
  return info.namespace_.empty() ? rule.clusterScope : holds(rule.namespaces, info.namespace_);
}

bool matches(const NonResourcePolicyRule& rule, const RequestInfo& info) {
  if (!holds(rule.verbs, info.verb)) return false;
  return std::any_of(
      rule.nonResourceURLs.begin(), rule.nonResourceURLs.end(), [&](const std::string& url) {
        if (url == "*" || url == info.path) return true;
        return url.ends_with("/*") &&
               info.path.starts_with(std::string_view(url).substr(0, url.size() - 1));
      });
}

bool matches(const PolicyRulesWithSubjects& rule, const RequestInfo& info, const UserInfo& user) {
  const bool subject = std::any_of(rule.subjects.begin(), rule.subjects.end(),
                                   [&](const Subject& s) { return matches(s, user); });
  if (!subject) return false;
  const auto fits = [&](const auto& r) { return matches(r, info); };
  return info.is_resource
             ? std::any_of(rule.resourceRules.begin(), rule.resourceRules.end(), fits)
             : std::any_of(rule.nonResourceRules.begin(), rule.nonResourceRules.end(), fits);
}

FlowLevel level_of(const PriorityLevelConfiguration& object) {
  FlowLevel out;
  out.name = object.metadata.name;
  out.uid = object.metadata.uid;
  out.exempt = object.spec.type == "Exempt";
  if (out.exempt && object.spec.exempt) {
    out.shares = object.spec.exempt->nominalConcurrencyShares.value_or(0);
    out.lendable_percent = object.spec.exempt->lendablePercent.value_or(0);
  }
  if (out.exempt || !object.spec.limited) return out;
  const auto& limited = *object.spec.limited;
  out.shares = limited.nominalConcurrencyShares.value_or(30);
  out.lendable_percent = limited.lendablePercent.value_or(0);
  out.borrowing_percent = limited.borrowingLimitPercent.value_or(-1);
  if (const auto& queuing = limited.limitResponse.queuing) {
    out.queues = std::max(queuing->queues, 1);
    out.hand_size = std::clamp(queuing->handSize, 1, out.queues);
    out.queue_length = std::max(queuing->queueLengthLimit, 1);
  }
  return out;
}

template <class T>
void add_missing(std::vector<T>& to, std::vector<T> mandatory) {
  for (auto& object : mandatory) {
    const bool there = std::any_of(to.begin(), to.end(), [&](const T& other) {
      return other.metadata.name == object.metadata.name;
    });
    if (!there) to.push_back(std::move(object));
  }
}

}  // namespace

uint64_t flow_hash(std::string_view schema, std::string_view distinguisher) {
  uint64_t hash = 14695981039346656037u;  // FNV-1a
  const auto add = [&](std::string_view text) {
    for (const char c : text) {
      hash ^= static_cast<unsigned char>(c);
      hash *= 1099511628211u;
    }
    hash ^= 0x1F;
    hash *= 1099511628211u;
  };
  add(schema);
  add(distinguisher);
  // Its low bits alone are not even enough to deal cards by.
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdu;
  return hash ^ (hash >> 33);
}

FlowRules::FlowRules(const std::vector<FlowSchema>& given_schemas,
                     const std::vector<PriorityLevelConfiguration>& given_levels) {
  auto levels = given_levels;
  auto schemas = given_schemas;
  add_missing(levels, api::mandatory_priority_levels());
  add_missing(schemas, api::mandatory_flow_schemas());
  for (const auto& object : levels) levels_.push_back(level_of(object));
  for (auto& object : schemas) {
    for (size_t i = 0; i < levels_.size(); ++i) {
      if (levels_[i].name != object.spec.priorityLevelConfiguration.name) continue;
      schemas_.push_back({std::move(object), i});
      break;
    }
  }
  std::sort(schemas_.begin(), schemas_.end(), [](const Schema& a, const Schema& b) {
    const int32_t x = a.object.spec.matchingPrecedence, y = b.object.spec.matchingPrecedence;
    return x != y ? x < y : a.object.metadata.name < b.object.metadata.name;
  });
}

FlowClass FlowRules::classify(const RequestInfo& info, const UserInfo& user) const {
  const Schema* found = nullptr;
  for (const auto& schema : schemas_) {
    const auto& rules = schema.object.spec.rules;
    const bool fits = std::any_of(rules.begin(), rules.end(),
                                  [&](const auto& rule) { return matches(rule, info, user); });
    // Users in no group at all match no rule: they are the last schema's too.
    if (fits || schema.object.metadata.name == "catch-all") {
      found = &schema;
      break;
    }
  }
  FlowClass out;
  out.schema = &found->object.metadata.name;
  out.schema_uid = &found->object.metadata.uid;
  out.rule = static_cast<size_t>(found - schemas_.data());
  out.level = found->level;
  if (const auto& method = found->object.spec.distinguisherMethod) {
    out.flow = method->type == "ByUser" ? user.name : info.namespace_;
  }
  out.hash = flow_hash(*out.schema, out.flow);
  return out;
}

}  // namespace orch::server
