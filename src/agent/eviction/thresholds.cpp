#include "agent/eviction/thresholds.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <map>

#include "orch/base/strings.h"

namespace orch::agent {
namespace {

struct SignalRow {
  std::string_view name, resource;
};
constexpr std::array<SignalRow, 8> kSignals{{{"memory.available", "memory"},
                                             {"nodefs.available", "ephemeral-storage"},
                                             {"nodefs.inodesFree", "inodes"},
                                             {"imagefs.available", "ephemeral-storage"},
                                             {"imagefs.inodesFree", "inodes"},
                                             {"containerfs.available", "ephemeral-storage"},
                                             {"containerfs.inodesFree", "inodes"},
                                             {"pid.available", "pids"}}};

const std::vector<std::string>& default_hard() {
  static const std::vector<std::string> all{"memory.available<100Mi", "nodefs.available<10%",
                                            "nodefs.inodesFree<5%", "imagefs.available<15%",
                                            "imagefs.inodesFree<5%"};
  return all;
}

Result<Signal, std::string> signal_of(std::string_view name) {
  for (size_t i = 0; i < kSignals.size(); ++i) {
    if (kSignals[i].name == name) return static_cast<Signal>(i);
  }
  return Err(fmt::format("unsupported eviction signal {}", name));
}

using Pairs = std::map<std::string, std::string>;

Result<Pairs, std::string> pairs_of(const std::vector<std::string>& words, char separator) {
  Pairs out;
  for (const auto& word : words) {
    if (trim(word).empty()) continue;
    const size_t at = word.find(separator);
    if (at == std::string::npos) {
      return Err(fmt::format("malformed pair, expect string{}string", separator));
    }
    out[std::string(trim(word.substr(0, at)))] = trim(word.substr(at + 1));
  }
  return out;
}

Result<float, std::string> percentage(const std::string& text) {
  const std::string number = text.substr(0, text.size() - 1);
  char* end = nullptr;
  const float value = std::strtof(number.c_str(), &end);
  if (number.empty() || *end != '\0' || !std::isfinite(value)) {
    return Err(fmt::format("strconv.ParseFloat: parsing \"{}\": invalid syntax", number));
  }
  return value / 100;
}

// Nothing for "0%" and "100%": they switch a signal off.
Result<std::optional<Amount>, std::string> threshold_amount(std::string_view signal,
                                                            const std::string& text) {
  Amount out;
  if (text.ends_with('%')) {
    if (text == "0%" || text == "100%") return std::optional<Amount>{};
    ORCH_TRY(out.part, percentage(text));
    if (out.part < 0) {
      return Err(fmt::format("eviction percentage threshold {} must be >= 0%: {}", signal, text));
    }
    if (out.part > 1) {
      return Err(fmt::format("eviction percentage threshold {} must be <= 100%: {}", signal, text));
    }
    return std::optional(out);
  }
  ORCH_TRY(out.quantity, api::Quantity::parse(text));
  if (out.quantity->sign() <= 0) {
    return Err(
        fmt::format("eviction threshold {} must be positive: {}", signal, out.quantity->str()));
  }
  return std::optional(out);
}

Result<Amount, std::string> reclaim_amount(std::string_view signal, const std::string& text) {
  Amount out;
  if (text.ends_with('%')) {
    ORCH_TRY(out.part, percentage(text));
    if (out.part <= 0) {
      return Err(
          fmt::format("eviction percentage minimum reclaim {} must be positive: {}", signal, text));
    }
    return out;
  }
  ORCH_TRY(out.quantity, api::Quantity::parse(text));
  if (out.quantity->sign() < 0) {
    return Err(fmt::format("negative eviction minimum reclaim specified for {}", signal));
  }
  return out;
}

Result<Unit, std::string> add_thresholds(const std::vector<std::string>& words,
                                         const std::map<Signal, Micros>* graces,
                                         EvictionConfig& config) {
  ORCH_TRY(const auto pairs, pairs_of(words, '<'));
  for (const auto& [name, text] : pairs) {
    Threshold threshold;
    ORCH_TRY(threshold.signal, signal_of(name));
    ORCH_TRY(auto amount, threshold_amount(name, text));
    if (!amount) continue;
    threshold.value = std::move(*amount);
    if (graces != nullptr) {
      const auto grace = graces->find(threshold.signal);
      if (grace == graces->end()) {
        return Err(
            fmt::format("grace period must be specified for the soft eviction threshold {}", name));
      }
      threshold.grace = grace->second;
    }
    config.thresholds.push_back(std::move(threshold));
  }
  return Unit{};
}

Result<std::map<Signal, Micros>, std::string> grace_periods(const std::vector<std::string>& words) {
  std::map<Signal, Micros> out;
  ORCH_TRY(const auto pairs, pairs_of(words, '='));
  for (const auto& [name, text] : pairs) {
    ORCH_TRY(const Signal signal, signal_of(name));
    ORCH_TRY(const auto period, api::Duration::parse(text));
    if (period.nanos < 0) {
      return Err(fmt::format(
          "invalid eviction grace period specified: {}, must be a positive value", text));
    }
    out[signal] = Micros{period.nanos / 1000};
  }
  return out;
}

Result<Unit, std::string> add_reclaims(const std::vector<std::string>& words,
                                       EvictionConfig& config) {
  ORCH_TRY(const auto pairs, pairs_of(words, '='));
  for (const auto& [name, text] : pairs) {
    ORCH_TRY(const Signal signal, signal_of(name));
    ORCH_TRY(const Amount amount, reclaim_amount(name, text));
    for (auto& threshold : config.thresholds) {
      if (threshold.signal == signal) threshold.minimum_reclaim = amount;
    }
  }
  return Unit{};
}

template <class T>
Result<T, std::string> of_flag(const char* flag, Result<T, std::string> result) {
  if (result) return result;
  return Err(fmt::format("--{}: {}", flag, result.error()));
}

}  // namespace

std::string_view signal_name(Signal signal) { return kSignals[static_cast<size_t>(signal)].name; }
std::string_view resource_of_signal(Signal signal) {
  return kSignals[static_cast<size_t>(signal)].resource;
}

api::Quantity Amount::of(int64_t capacity) const {
  if (quantity) return *quantity;
  return api::Quantity::of_bytes(
      static_cast<int64_t>(static_cast<double>(capacity) * static_cast<double>(part)));
}

const Amount* EvictionConfig::hard(Signal signal) const {
  for (const auto& threshold : thresholds) {
    if (threshold.signal == signal && threshold.hard()) return &threshold.value;
  }
  return nullptr;
}

Result<EvictionConfig, std::string> parse_eviction(const EvictionFlags& flags) {
  EvictionConfig config;
  ORCH_CHECK(
      of_flag("eviction-hard",
              add_thresholds(flags.hard.empty() ? default_hard() : flags.hard, nullptr, config)));
  ORCH_TRY(const auto graces,
           of_flag("eviction-soft-grace-period", grace_periods(flags.soft_grace_period)));
  ORCH_CHECK(of_flag("eviction-soft", add_thresholds(flags.soft, &graces, config)));
  ORCH_CHECK(of_flag("eviction-minimum-reclaim", add_reclaims(flags.minimum_reclaim, config)));
  // Where layers are written is the nodes' or the images' file system, and so are its thresholds.
  std::erase_if(config.thresholds, [](const Threshold& t) {
    return t.signal == Signal::kContainerfsAvailable || t.signal == Signal::kContainerfsInodesFree;
  });
  ORCH_TRY(const auto period, of_flag("eviction-pressure-transition-period",
                                      api::Duration::parse(flags.transition_period)));
  if (period.nanos < 0) {
    return Err(std::string("--eviction-pressure-transition-period: must not be negative"));
  }
  config.transition_period = Micros{period.nanos / 1000};
  const auto grace = parse_int(flags.max_pod_grace_period);
  if (!grace || *grace < 0) {
    return Err(fmt::format("--eviction-max-pod-grace-period: \"{}\" is not a number of seconds",
                           flags.max_pod_grace_period));
  }
  config.max_pod_grace_seconds = *grace;
  return config;
}

}  // namespace orch::agent
