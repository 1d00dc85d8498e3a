// core/v1 LimitRange.
#include <fmt/format.h>

#include <set>

#include "api/kinds/checks.h"

namespace orch::api {
namespace {

using corev1::LimitRange;
using corev1::LimitRangeItem;
using Amounts = std::map<std::string, Quantity>;

void set_item_defaults(LimitRangeItem& item) {
  if (item.type != "Container") return;
  // What is there already wins: maximum -> limit -> request <- minimum.
  item.default_.insert(item.max.begin(), item.max.end());
  item.defaultRequest.insert(item.default_.begin(), item.default_.end());
  item.defaultRequest.insert(item.min.begin(), item.min.end());
}

void set_range_defaults(Object& object) {
  for (auto& item : static_cast<LimitRange&>(object).spec.limits) set_item_defaults(item);
}

void validate_type(const std::string& type, const std::string& path, FieldErrors& errors) {
  if (const auto why = check_label_key(type); !why.empty()) {
    errors.invalid(path, quoted(type), why);
  } else if (type.find('/') == std::string::npos && type != "Pod" && type != "Container" &&
             type != "PersistentVolumeClaim") {
    errors.invalid(path, quoted(type), "must be a standard limit type or fully qualified");
  }
}

void validate_name(const std::string& type, const std::string& name, const std::string& path,
                   FieldErrors& errors) {
  if (const auto why = check_label_key(name); !why.empty()) {
    return errors.invalid(path, quoted(name), why);
  }
  const bool bare = name.find('/') == std::string::npos;
  if (type == "Pod" || type == "Container") {
    if (bare && !is_container_resource(name)) {
      errors.invalid(path, quoted(name), "must be a standard resource for containers");
    } else if (!is_native_resource(name) && !is_extended_resource(name)) {
      errors.invalid(path, quoted(name), "doesn't follow extended resource name standard");
    }
  } else if (bare && !is_container_resource(name) && name != "storage" &&
             !name.starts_with("requests.")) {
    errors.invalid(path, quoted(name), "must be a standard resource type or fully qualified");
  }
}

// The amounts of one resource in an item; null where none is given.
struct Bounds {
  const Quantity *min, *max, *limit, *request, *ratio;
};

void validate_bounds(const std::string& name, const Bounds& b, const std::string& path,
                     FieldErrors& errors) {
  const auto order = [&](const Quantity* low, const Quantity* high, const Quantity* shown,
                         const char* field, const char* low_name, const char* high_name) {
    if (low == nullptr || high == nullptr || !(*low > *high)) return;
    errors.invalid(keyed(path + field, name), quoted(shown->str()),
                   fmt::format("{} value {} is greater than {} value {}", low_name, low->str(),
                               high_name, high->str()));
  };
  order(b.min, b.max, b.min, ".min", "min", "max");
  order(b.min, b.request, b.request, ".defaultRequest", "min", "default request");
  order(b.request, b.max, b.request, ".defaultRequest", "default request", "max");
  order(b.request, b.limit, b.request, ".defaultRequest", "default request", "default limit");
  order(b.min, b.limit, b.min, ".default", "min", "default");
  order(b.limit, b.max, b.max, ".default", "default", "max");
  if (b.ratio != nullptr) {
    const std::string at = keyed(path + ".maxLimitRequestRatio", name);
    if (*b.ratio < Quantity::of(1)) {
      errors.invalid(at, quoted(b.ratio->str()),
                     fmt::format("ratio {} is less than 1", b.ratio->str()));
    }
    if (b.min != nullptr && b.max != nullptr && b.min->milli() != 0) {
      const double most = static_cast<double>(b.max->milli()) / static_cast<double>(b.min->milli());
      if (static_cast<double>(b.ratio->milli()) / 1000 > most) {
        errors.invalid(
            at, quoted(b.ratio->str()),
            fmt::format("ratio {} is greater than max/min = {:f}", b.ratio->str(), most));
      }
    }
  }
  const bool overcommits = is_native_resource(name) && !name.starts_with("hugepages-");
  if (!overcommits && b.limit != nullptr && b.request != nullptr && *b.limit != *b.request) {
    errors.invalid(keyed(path + ".defaultRequest", name), quoted(b.request->str()),
                   fmt::format("default value {} must equal to defaultRequest value {} in {}",
                               b.limit->str(), b.request->str(), name));
  }
}

void validate_item(const LimitRangeItem& item, const std::string& path, FieldErrors& errors) {
  std::set<std::string> names;
  const auto check = [&](const Amounts& amounts, const char* field) {
    for (const auto& [name, value] : amounts) {
      validate_name(item.type, name, keyed(path + field, name), errors);
      names.insert(name);
    }
  };
  check(item.max, ".max");
  check(item.min, ".min");
  if (item.type == "Pod") {
    constexpr const char* kNotForPods = "may not be specified when `type` is 'Pod'";
    if (!item.default_.empty()) errors.forbidden(path + ".default", kNotForPods);
    if (!item.defaultRequest.empty()) errors.forbidden(path + ".defaultRequest", kNotForPods);
  } else {
    check(item.default_, ".default");
    check(item.defaultRequest, ".defaultRequest");
  }
  if (item.type == "PersistentVolumeClaim" && item.min.count("storage") == 0 &&
      item.max.count("storage") == 0) {
    errors.required(path + ".limits",
                    "either minimum or maximum storage value is required, but neither was "
                    "provided");
  }
  check(item.maxLimitRequestRatio, ".maxLimitRequestRatio");
  for (const auto& name : names) {
    const auto of = [&](const Amounts& amounts) -> const Quantity* {
      const auto it = amounts.find(name);
      return it == amounts.end() ? nullptr : &it->second;
    };
    const bool pod = item.type == "Pod";
    validate_bounds(name,
                    {of(item.min), of(item.max), pod ? nullptr : of(item.default_),
                     pod ? nullptr : of(item.defaultRequest), of(item.maxLimitRequestRatio)},
                    path, errors);
  }
}

void validate_range(const Object& object, const Object*, FieldErrors& errors) {
  const auto& limits = static_cast<const LimitRange&>(object).spec.limits;
  std::set<std::string> types;
  for (size_t i = 0; i < limits.size(); ++i) {
    const std::string path = indexed("spec.limits", i);
    validate_type(limits[i].type, path + ".type", errors);
    if (!types.insert(limits[i].type).second) {
      errors.duplicate(path + ".type", quoted(limits[i].type));
    }
    validate_item(limits[i], path, errors);
  }
}

}  // namespace

ResourceInfo limit_ranges_resource() {
  auto info = stored_resource<LimitRange>("limitranges", "limitrange", true);
  info.short_names = {"limits"};
  info.set_defaults = set_range_defaults;
  info.validate = validate_range;
  info.columns = {name_column(), column("Created At", "string", "When it was created.")};
  info.row = [](const Object& object, WallTime) -> std::vector<Cell> {
    return {name_cell(object), text(object.metadata.creationTimestamp.str())};
  };
  return info;
}

}  // namespace orch::api
