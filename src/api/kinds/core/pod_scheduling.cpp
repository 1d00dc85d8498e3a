// Where a Pod may run: tolerations, node selectors, affinity, spreading.
#include <fmt/format.h>

#include "api/kinds/core/pod_parts.h"

namespace orch::api {
namespace {

using namespace corev1;

constexpr const char* kRequired = ".requiredDuringSchedulingIgnoredDuringExecution";
constexpr const char* kPreferred = ".preferredDuringSchedulingIgnoredDuringExecution";

void validate_requirement(const NodeSelectorRequirement& e, const std::string& at,
                          FieldErrors& errors) {
  if (e.operator_ == "In" || e.operator_ == "NotIn") {
    if (e.values.empty()) {
      errors.required(at + ".values", "must be specified when `operator` is 'In' or 'NotIn'");
    }
  } else if (e.operator_ == "Exists" || e.operator_ == "DoesNotExist") {
    if (!e.values.empty()) {
      errors.forbidden(at + ".values",
                       "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    }
  } else if (e.operator_ == "Gt" || e.operator_ == "Lt") {
    if (e.values.size() != 1) {
      errors.required(at + ".values",
                      "must be specified single value when `operator` is 'Lt' or 'Gt'");
    }
  } else {
    errors.invalid(at + ".operator", quoted(e.operator_), "not a valid selector operator");
  }
  validate_qualified_name(e.key, at + ".key", errors);
}

void validate_field_requirement(const NodeSelectorRequirement& e, const std::string& at,
                                FieldErrors& errors) {
  if (e.operator_ != "In" && e.operator_ != "NotIn") {
    errors.invalid(at + ".operator", quoted(e.operator_), "not a valid selector operator");
  } else if (e.values.size() != 1) {
    errors.required(at + ".values",
                    "must be only one value when `operator` is 'In' or 'NotIn' for node field "
                    "selector");
  }
  if (e.key != "metadata.name") {
    errors.invalid(at + ".key", quoted(e.key), "not a valid field selector key");
    return;
  }
  for (size_t i = 0; i < e.values.size(); ++i) {
    validate_by(check_dns1123_subdomain, e.values[i], indexed(at + ".values", i), errors);
  }
}

void validate_node_term(const NodeSelectorTerm& term, const std::string& path,
                        FieldErrors& errors) {
  for (size_t i = 0; i < term.matchExpressions.size(); ++i) {
    validate_requirement(term.matchExpressions[i], indexed(path + ".matchExpressions", i), errors);
  }
  for (size_t i = 0; i < term.matchFields.size(); ++i) {
    validate_field_requirement(term.matchFields[i], indexed(path + ".matchFields", i), errors);
  }
}

void validate_weight(int32_t weight, const std::string& path, FieldErrors& errors) {
  if (weight < 1 || weight > 100) {
    errors.invalid(path + ".weight", std::to_string(weight), "must be in the range 1-100");
  }
}

bool selects_by(const Ptr<metav1::LabelSelector>& selector, const std::string& key) {
  if (!selector) return false;
  if (selector->matchLabels.count(key) != 0) return true;
  for (const auto& e : selector->matchExpressions) {
    if (e.key == key) return true;
  }
  return false;
}

// Keys whose values come from the Pod itself.
void validate_label_keys(const std::vector<std::string>& keys, const std::string& path,
                         FieldErrors& errors) {
  for (size_t i = 0; i < keys.size(); ++i) {
    validate_qualified_name(keys[i], indexed(path, i), errors);
  }
}

void validate_pod_term_keys(const PodAffinityTerm& term, const std::string& path,
                            FieldErrors& errors) {
  if (!term.labelSelector) {
    for (const auto* keys : {&term.matchLabelKeys, &term.mismatchLabelKeys}) {
      if (keys->empty()) continue;
      errors.forbidden(
          path + (keys == &term.matchLabelKeys ? ".matchLabelKeys" : ".mismatchLabelKeys"),
          "must not be specified when labelSelector is not set");
    }
  }
  validate_label_keys(term.matchLabelKeys, path + ".matchLabelKeys", errors);
  validate_label_keys(term.mismatchLabelKeys, path + ".mismatchLabelKeys", errors);
  for (size_t i = 0; i < term.matchLabelKeys.size(); ++i) {
    if (listed(term.mismatchLabelKeys, term.matchLabelKeys[i])) {
      errors.invalid(indexed(path + ".matchLabelKeys", i), quoted(term.matchLabelKeys[i]),
                     "exists in both matchLabelKeys and mismatchLabelKeys");
    }
  }
}

void validate_pod_term(const PodAffinityTerm& term, const std::string& path, FieldErrors& errors) {
  if (term.labelSelector) {
    validate_label_selector(*term.labelSelector, path + ".labelSelector", errors);
  }
  if (term.namespaceSelector) {
    validate_label_selector(*term.namespaceSelector, path + ".namespaceSelector", errors);
  }
  for (const auto& name : term.namespaces) {
    validate_by(check_dns1123_label, name, path + ".namespace", errors);
  }
  validate_pod_term_keys(term, path, errors);
  if (term.topologyKey.empty()) errors.required(path + ".topologyKey", "can not be empty");
  validate_qualified_name(term.topologyKey, path + ".topologyKey", errors);
}

void validate_pod_terms(const std::vector<PodAffinityTerm>& required,
                        const std::vector<WeightedPodAffinityTerm>& preferred,
                        const std::string& path, FieldErrors& errors) {
  for (size_t i = 0; i < required.size(); ++i) {
    validate_pod_term(required[i], indexed(path + kRequired, i), errors);
  }
  for (size_t i = 0; i < preferred.size(); ++i) {
    const std::string at = indexed(path + kPreferred, i);
    validate_weight(preferred[i].weight, at, errors);
    validate_pod_term(preferred[i].podAffinityTerm, at + ".podAffinityTerm", errors);
  }
}

void validate_inclusion(const std::optional<std::string>& policy, const std::string& path,
                        FieldErrors& errors) {
  if (policy) check_one_of(*policy, path, {"Honor", "Ignore"}, errors);
}

void validate_min_domains(const TopologySpreadConstraint& c, const std::string& path,
                          FieldErrors& errors) {
  if (!c.minDomains) return;
  const std::string shown = std::to_string(*c.minDomains);
  if (*c.minDomains <= 0) errors.invalid(path, shown, "must be greater than zero");
  if (c.whenUnsatisfiable != "DoNotSchedule") {
    errors.invalid(path, shown,
                   fmt::format("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}",
                               c.whenUnsatisfiable));
  }
}

}  // namespace

void validate_tolerations(const std::vector<Toleration>& tolerations, const std::string& path,
                          FieldErrors& errors) {
  for (size_t i = 0; i < tolerations.size(); ++i) {
    const auto& t = tolerations[i];
    const std::string at = indexed(path, i);
    if (!t.key.empty()) {
      validate_qualified_name(t.key, at + ".key", errors);
    } else if (t.operator_ != "Exists") {
      errors.invalid(at + ".operator", quoted(t.operator_),
                     "operator must be Exists when `key` is empty, which means \"match all values "
                     "and all keys\"");
    }
    if (t.tolerationSeconds && t.effect != "NoExecute") {
      errors.invalid(at + ".effect", quoted(t.effect),
                     "effect must be 'NoExecute' when `tolerationSeconds` is set");
    }
    if (t.operator_.empty() || t.operator_ == "Equal") {
      if (const auto why = check_label_value(t.value); !why.empty()) {
        errors.invalid(at + ".operator", quoted(t.value), why);
      }
    } else if (t.operator_ == "Exists") {
      if (!t.value.empty()) {
        errors.invalid(at + ".operator", go_value(Toleration::type_info(), &t),
                       "value must be empty when `operator` is 'Exists'");
      }
    } else {
      errors.not_supported(at + ".operator", t.operator_, {"Equal", "Exists"});
    }
    if (!t.effect.empty()) {
      check_one_of(t.effect, at + ".effect", {"NoSchedule", "PreferNoSchedule", "NoExecute"},
                   errors);
    }
  }
}

void validate_node_selector(const NodeSelector& selector, const std::string& path,
                            FieldErrors& errors) {
  const std::string terms = path + ".nodeSelectorTerms";
  if (selector.nodeSelectorTerms.empty()) {
    errors.required(terms, "must have at least one node selector term");
  }
  for (size_t i = 0; i < selector.nodeSelectorTerms.size(); ++i) {
    validate_node_term(selector.nodeSelectorTerms[i], indexed(terms, i), errors);
  }
}

void validate_affinity(const Affinity& affinity, const std::string& path, FieldErrors& errors) {
  if (const auto& node = affinity.nodeAffinity) {
    const std::string at = path + ".nodeAffinity";
    if (node->requiredDuringSchedulingIgnoredDuringExecution) {
      validate_node_selector(*node->requiredDuringSchedulingIgnoredDuringExecution, at + kRequired,
                             errors);
    }
    const auto& preferred = node->preferredDuringSchedulingIgnoredDuringExecution;
    for (size_t i = 0; i < preferred.size(); ++i) {
      const std::string term = indexed(at + kPreferred, i);
      validate_weight(preferred[i].weight, term, errors);
      validate_node_term(preferred[i].preference, term + ".preference", errors);
    }
  }
  if (const auto& pods = affinity.podAffinity) {
    validate_pod_terms(pods->requiredDuringSchedulingIgnoredDuringExecution,
                       pods->preferredDuringSchedulingIgnoredDuringExecution, path + ".podAffinity",
                       errors);
  }
  if (const auto& pods = affinity.podAntiAffinity) {
    validate_pod_terms(pods->requiredDuringSchedulingIgnoredDuringExecution,
                       pods->preferredDuringSchedulingIgnoredDuringExecution,
                       path + ".podAntiAffinity", errors);
  }
}

void validate_spreading(const std::vector<TopologySpreadConstraint>& constraints,
                        const std::string& path, FieldErrors& errors) {
  std::set<std::pair<std::string, std::string>> seen;
  for (size_t i = 0; i < constraints.size(); ++i) {
    const auto& c = constraints[i];
    const std::string at = indexed(path, i);
    if (c.maxSkew <= 0) {
      errors.invalid(at + ".maxSkew", std::to_string(c.maxSkew), "must be greater than zero");
    }
    if (c.topologyKey.empty()) {
      errors.required(at + ".topologyKey", "can not be empty");
    } else {
      validate_qualified_name(c.topologyKey, at + ".topologyKey", errors);
    }
    check_one_of(c.whenUnsatisfiable, at + ".whenUnsatisfiable",
                 {"DoNotSchedule", "ScheduleAnyway"}, errors);
    if (!seen.emplace(c.topologyKey, c.whenUnsatisfiable).second) {
      errors.duplicate(at + ".{topologyKey, whenUnsatisfiable}",
                       quoted(fmt::format("{{{}, {}}}", c.topologyKey, c.whenUnsatisfiable)));
    }
    validate_min_domains(c, at + ".minDomains", errors);
    validate_inclusion(c.nodeAffinityPolicy, at + ".nodeAffinityPolicy", errors);
    validate_inclusion(c.nodeTaintsPolicy, at + ".nodeTaintsPolicy", errors);
    const std::string keys = at + ".matchLabelKeys";
    if (!c.matchLabelKeys.empty() && !c.labelSelector) {
      errors.forbidden(keys, "must not be specified when labelSelector is not set");
    }
    validate_label_keys(c.matchLabelKeys, keys, errors);
    for (size_t j = 0; j < c.matchLabelKeys.size(); ++j) {
      if (selects_by(c.labelSelector, c.matchLabelKeys[j])) {
        errors.invalid(indexed(keys, j), quoted(c.matchLabelKeys[j]),
                       "exists in both matchLabelKeys and labelSelector");
      }
    }
    if (c.labelSelector) validate_label_selector(*c.labelSelector, at + ".labelSelector", errors);
  }
}

}  // namespace orch::api
