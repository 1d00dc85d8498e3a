// flowcontrol.apiserver.k8s.io/v1 PriorityLevelConfiguration.
#include <fmt/format.h>

#include <cmath>

#include "api/kinds/checks.h"
#include "api/kinds/flowcontrol/conditions.h"
#include "orch/api/flow_defaults.h"

namespace orch::api {
namespace {

using flowcontrolv1::LimitedPriorityLevelConfiguration;
using flowcontrolv1::LimitResponse;
using flowcontrolv1::PriorityLevelConfiguration;
using flowcontrolv1::QueuingConfiguration;

constexpr int32_t kQueuesMax = 10'000'000;
constexpr int kHashBitsMax = 60;

void set_level_defaults(Object& object) {
  auto& spec = static_cast<PriorityLevelConfiguration&>(object).spec;
  if (spec.type == "Exempt") {
    auto& exempt = spec.exempt.ensure();
    if (!exempt.nominalConcurrencyShares) exempt.nominalConcurrencyShares = 0;
    if (!exempt.lendablePercent) exempt.lendablePercent = 0;
  }
  if (!spec.limited) return;
  if (!spec.limited->nominalConcurrencyShares) spec.limited->nominalConcurrencyShares = 30;
  if (!spec.limited->lendablePercent) spec.limited->lendablePercent = 0;
  if (!spec.limited->limitResponse.queuing) return;
  auto& queuing = *spec.limited->limitResponse.queuing;
  if (queuing.queues == 0) queuing.queues = 64;
  if (queuing.handSize == 0) queuing.handSize = 8;
  if (queuing.queueLengthLimit == 0) queuing.queueLengthLimit = 50;
}

// Bits of a hash that are needed to deal `hand` of `queues` cards.
int entropy_bits(int32_t queues, int32_t hand) {
  double bits = 0;
  for (int32_t i = 0; i < hand; ++i) bits += std::log2(static_cast<double>(queues - i));
  return static_cast<int>(std::ceil(bits));
}

void validate_queuing(const QueuingConfiguration& queuing, const std::string& path,
                      FieldErrors& errors) {
  constexpr const char* kPositive = "must be positive";
  const auto bad = [&](const char* field, int32_t value, const std::string& why) {
    errors.invalid(path + field, std::to_string(value), why);
  };
  if (queuing.queueLengthLimit <= 0) {
    bad(".queueLengthLimit", queuing.queueLengthLimit, kPositive);
  }
  if (queuing.queues <= 0) {
    bad(".queues", queuing.queues, kPositive);
  } else if (queuing.queues > kQueuesMax) {
    bad(".queues", queuing.queues, fmt::format("must not be greater than {}", kQueuesMax));
  }
  if (queuing.handSize <= 0) {
    bad(".handSize", queuing.handSize, kPositive);
  } else if (queuing.handSize > queuing.queues) {
    bad(".handSize", queuing.handSize,
        fmt::format("should not be greater than queues ({})", queuing.queues));
  } else if (queuing.handSize > kHashBitsMax ||
             entropy_bits(queuing.queues, queuing.handSize) > kHashBitsMax) {
    bad(".handSize", queuing.handSize,
        fmt::format("required entropy bits of deckSize {} and handSize {} should not be greater "
                    "than {}",
                    queuing.queues, queuing.handSize, kHashBitsMax));
  }
}

void validate_response(const LimitResponse& response, const std::string& path,
                       FieldErrors& errors) {
  if (response.type == "Reject") {
    if (response.queuing) {
      errors.forbidden(path + ".queuing",
                       "must be nil if limited.limitResponse.type is not Limited");
    }
  } else if (response.type == "Queue") {
    if (!response.queuing) {
      errors.required(path + ".queuing",
                      "must not be empty if limited.limitResponse.type is Limited");
    } else {
      validate_queuing(*response.queuing, path + ".queuing", errors);
    }
  } else {
    errors.not_supported(path + ".type", response.type, {"Queue", "Reject"});
  }
}

void validate_shares(const std::optional<int32_t>& shares, const std::optional<int32_t>& lendable,
                     const std::string& path, FieldErrors& errors) {
  if (shares.value_or(0) < 0) {
    errors.invalid(path + ".nominalConcurrencyShares", std::to_string(*shares),
                   "must be a non-negative integer");
  }
  if (lendable && (*lendable < 0 || *lendable > 100)) {
    errors.invalid(path + ".lendablePercent", std::to_string(*lendable),
                   "must be between 0 and 100, inclusive");
  }
}

void validate_limited(const LimitedPriorityLevelConfiguration& limited, FieldErrors& errors) {
  const std::string path = "spec.limited";
  validate_shares(limited.nominalConcurrencyShares, limited.lendablePercent, path, errors);
  if (limited.borrowingLimitPercent.value_or(0) < 0) {
    errors.invalid(path + ".borrowingLimitPercent", std::to_string(*limited.borrowingLimitPercent),
                   "if specified, must be a non-negative integer");
  }
  validate_response(limited.limitResponse, path + ".limitResponse", errors);
}

// The mandatory levels stay as they are but for what an administrator may give the exempt one.
void validate_fixed(const PriorityLevelConfiguration& level, FieldErrors& errors) {
  const std::string& name = level.metadata.name;
  for (auto& fixed : mandatory_priority_levels()) {
    if (fixed.metadata.name != name) continue;
    const bool exempt = fixed.spec.type == "Exempt";
    if (exempt) fixed.spec.exempt = level.spec.exempt;
    if (equal(fixed.spec, level.spec)) continue;
    errors.invalid(
        "spec", go_value(flowcontrolv1::PriorityLevelConfigurationSpec::type_info(), &level.spec),
        fmt::format("spec of '{}'{} must equal the fixed value", name,
                    exempt ? " except the 'spec.exempt' field" : ""));
  }
}

void validate_level(const Object& object, const Object*, FieldErrors& errors) {
  const auto& level = static_cast<const PriorityLevelConfiguration&>(object);
  const auto& spec = level.spec;
  if ((level.metadata.name == "exempt") != (spec.type == "Exempt")) {
    errors.invalid("spec.type", quoted(spec.type),
                   "type must be 'Exempt' if and only if name is 'exempt'");
  }
  if (spec.type == "Exempt") {
    if (spec.limited) {
      errors.forbidden("spec.limited", "must be nil if the type is not Limited");
    }
    if (spec.exempt) {
      validate_shares(spec.exempt->nominalConcurrencyShares, spec.exempt->lendablePercent,
                      "spec.exempt", errors);
    } else {
      errors.required("spec.exempt", "must not be empty when type is Exempt");
    }
  } else if (spec.type == "Limited") {
    if (spec.exempt) errors.forbidden("spec.exempt", "must be nil if the type is Limited");
    if (spec.limited) {
      validate_limited(*spec.limited, errors);
    } else {
      errors.required("spec.limited", "must not be empty when type is Limited");
    }
  } else {
    errors.not_supported("spec.type", spec.type, {"Exempt", "Limited"});
  }
  validate_fixed(level, errors);
}

std::vector<Cell> row(const Object& object, WallTime now) {
  const auto& spec = static_cast<const PriorityLevelConfiguration&>(object).spec;
  const Cell none = text("<none>");
  Cell shares = none, queues = none, hand = none, length = none;
  if (spec.limited) {
    shares = number(spec.limited->nominalConcurrencyShares.value_or(0));
    if (const auto& queuing = spec.limited->limitResponse.queuing) {
      queues = number(queuing->queues);
      hand = number(queuing->handSize);
      length = number(queuing->queueLengthLimit);
    }
  } else if (spec.exempt) {
    shares = number(spec.exempt->nominalConcurrencyShares.value_or(0));
  }
  return {name_cell(object), text(spec.type), shares, queues, hand, length, age_cell(object, now)};
}

}  // namespace

ResourceInfo priority_level_configurations_resource() {
  auto info = stored_resource<PriorityLevelConfiguration>("prioritylevelconfigurations",
                                                          "prioritylevelconfiguration", false);
  info.has_status = true;
  info.set_defaults = set_level_defaults;
  info.prepare = prepare_spec_and_status<PriorityLevelConfiguration>;
  info.prepare_status = prepare_status_only<PriorityLevelConfiguration>;
  info.validate = validate_level;
  info.validate_status = [](const Object& now, const Object&, FieldErrors& errors) {
    validate_condition_types(static_cast<const PriorityLevelConfiguration&>(now).status.conditions,
                             errors);
  };
  info.columns = {name_column(),
                  column("Type", "string", "Limited or Exempt."),
                  column("NominalConcurrencyShares", "string", "Its share of the seats."),
                  column("Queues", "string", "How many queues it has."),
                  column("HandSize", "string", "How many queues a flow is dealt."),
                  column("QueueLengthLimit", "string", "How many requests wait in a queue."),
                  age_column()};
  info.row = row;
  return info;
}

}  // namespace orch::api
