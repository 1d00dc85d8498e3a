// LimitRanger: gives containers the defaults of their namespace's LimitRanges and refuses Pods and
// claims outside of their bounds.
#include <fmt/format.h>

#include <algorithm>

#include "orch/api/quota.h"
#include "server/admission/admission.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::Container;
using corev1::LimitRange;
using corev1::LimitRangeItem;
using corev1::Pod;
using Texts = std::vector<std::string>;

std::string joined(const Texts& texts, std::string_view separator) {
  std::string out;
  for (const auto& text : texts) {
    if (!out.empty()) out += separator;
    out += text;
  }
  return out;
}

const Quantity* find(const ResourceList& amounts, const std::string& name) {
  const auto at = amounts.find(name);
  return at == amounts.end() ? nullptr : &at->second;
}

// Which of `wanted` the container did not have; they are there afterwards.
Texts fill(ResourceList& amounts, const ResourceList& wanted) {
  Texts set;
  for (const auto& [name, value] : wanted) {
    if (amounts.emplace(name, value).second) set.push_back(name);
  }
  return set;
}

void set_defaults_of(Container& container, const LimitRangeItem& item, const char* what,
                     Texts& notes) {
  const auto note = [&](const Texts& names, const char* amount) {
    if (names.empty()) return;
    notes.push_back(
        fmt::format("{} {} for {} {}", joined(names, ", "), amount, what, container.name));
  };
  const auto requests = fill(container.resources.requests, item.defaultRequest);
  const auto limits = fill(container.resources.limits, item.default_);
  note(requests, "request");
  note(limits, "limit");
}

void set_pod_defaults(Pod& pod, const LimitRange& range) {
  Texts notes;
  for (const auto& item : range.spec.limits) {
    if (item.type != "Container") continue;
    for (auto& c : pod.spec.containers) set_defaults_of(c, item, "container", notes);
    for (auto& c : pod.spec.initContainers) set_defaults_of(c, item, "init container", notes);
  }
  if (notes.empty()) return;
  pod.metadata.annotations["kubernetes.io/limit-ranger"] =
      "LimitRanger plugin set: " + joined(notes, "; ");
}

// The bounds of one item applied to requests and limits of what it is about.
class Bounds {
 public:
  Bounds(const LimitRangeItem& item, Texts& errors) : item_(item), errors_(errors) {}

  void check(const ResourceList& requests, const ResourceList& limits) {
    for (const auto& [name, bound] : item_.min) {
      const auto* request = find(requests, name);
      const auto* limit = find(limits, name);
      if (request == nullptr) {
        unsaid("minimum", name, bound, "request");
      } else if (*request < bound) {
        outside("minimum", name, bound, "request", *request);
      } else if (limit != nullptr && *limit < bound) {
        outside("minimum", name, bound, "limit", *limit);
      }
    }
    for (const auto& [name, bound] : item_.max) {
      const auto* request = find(requests, name);
      const auto* limit = find(limits, name);
      if (limit == nullptr) {
        unsaid("maximum", name, bound, "limit");
      } else if (*limit > bound) {
        outside("maximum", name, bound, "limit", *limit);
      } else if (request != nullptr && *request > bound) {
        outside("maximum", name, bound, "request", *request);
      }
    }
    for (const auto& [name, bound] : item_.maxLimitRequestRatio) {
      check_ratio(name, bound, find(requests, name), find(limits, name));
    }
  }
  // Claims know requests only.
  void check_claim(const ResourceList& requests) {
    for (const auto& [name, bound] : item_.min) {
      const auto* request = find(requests, name);
      if (request == nullptr) {
        unsaid("minimum", name, bound, "request");
      } else if (*request < bound) {
        outside("minimum", name, bound, "request", *request);
      }
    }
    for (const auto& [name, bound] : item_.max) {
      const auto* request = find(requests, name);
      if (request == nullptr) {
        unsaid("maximum", name, bound, "request");
      } else if (*request > bound) {
        outside("maximum", name, bound, "request", *request);
      }
    }
  }

 private:
  void unsaid(const char* side, const std::string& name, const Quantity& bound, const char* what) {
    errors_.push_back(fmt::format("{} {} usage per {} is {}.  No {} is specified", side, name,
                                  item_.type, bound.str(), what));
  }
  void outside(const char* side, const std::string& name, const Quantity& bound, const char* what,
               const Quantity& value) {
    errors_.push_back(fmt::format("{} {} usage per {} is {}, but {} is {}", side, name, item_.type,
                                  bound.str(), what, value.str()));
  }
  void check_ratio(const std::string& name, const Quantity& bound, const Quantity* request,
                   const Quantity* limit) {
    const std::string start = fmt::format("{} max limit to request ratio per {} is {}, but ", name,
                                          item_.type, bound.str());
    if (request == nullptr || request->is_zero()) {
      errors_.push_back(start + "no request is specified or request is 0");
    } else if (limit == nullptr || limit->is_zero()) {
      errors_.push_back(start + "no limit is specified or limit is 0");
    } else {
      const double ratio = static_cast<double>(limit->milli()) /
                           static_cast<double>(std::max<int64_t>(1, request->milli()));
      if (ratio * 1000 > static_cast<double>(bound.milli())) {
        errors_.push_back(start + fmt::format("provided ratio is {:.6f}", ratio));
      }
    }
  }

  const LimitRangeItem& item_;
  Texts& errors_;
};

Texts check_pod(const Pod& pod, const LimitRange& range) {
  Texts errors;
  for (const auto& item : range.spec.limits) {
    Bounds bounds(item, errors);
    if (item.type == "Container") {
      for (const auto& c : pod.spec.containers) {
        bounds.check(c.resources.requests, c.resources.limits);
      }
      for (const auto& c : pod.spec.initContainers) {
        bounds.check(c.resources.requests, c.resources.limits);
      }
    } else if (item.type == "Pod") {
      bounds.check(pod_requests(pod.spec, false), pod_limits(pod.spec, false));
    }
  }
  return errors;
}

Texts check_claim(const corev1::PersistentVolumeClaim& claim, const LimitRange& range) {
  Texts errors;
  for (const auto& item : range.spec.limits) {
    if (item.type != "PersistentVolumeClaim") continue;
    Bounds(item, errors).check_claim(claim.spec.resources.requests);
  }
  return errors;
}

class LimitRanger final : public AdmissionPlugin {
 public:
  explicit LimitRanger(const AdmissionContext& context)
      : ranges_(context.informers.lister<LimitRange>()) {}

  std::string_view name() const override { return "LimitRanger"; }

  // Containers of a Pod that exists do not change.
  ApiResult<Unit> admit(AdmissionRequest& request) override {
    if (request.operation != Operation::kCreate || !is_write_of(request, "", "pods")) return Unit{};
    auto& pod = static_cast<Pod&>(*request.object);
    for (const auto& range : ranges_.list(request.namespace_)) set_pod_defaults(pod, *range);
    return Unit{};
  }

  ApiResult<Unit> validate(const AdmissionRequest& request) override {
    const bool pods = request.operation == Operation::kCreate && is_write_of(request, "", "pods");
    const bool claims = is_write_of(request, "", "persistentvolumeclaims");
    if (!pods && !claims) return Unit{};
    if (request.old_object != nullptr && request.object->metadata.deletionTimestamp) return Unit{};
    for (const auto& range : ranges_.list(request.namespace_)) {
      const Texts errors =
          pods ? check_pod(static_cast<const Pod&>(*request.object), *range)
               : check_claim(static_cast<const corev1::PersistentVolumeClaim&>(*request.object),
                             *range);
      if (errors.empty()) continue;
      const auto& meta = request.object->metadata;
      return Err(forbidden(request.resource->group_resource(),
                           meta.name.empty() ? meta.generateName : meta.name,
                           errors.size() == 1 ? errors[0] : "[" + joined(errors, ", ") + "]"));
    }
    return Unit{};
  }

 private:
  client::Lister<LimitRange> ranges_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_limit_ranger(const AdmissionContext& context) {
  return std::make_unique<LimitRanger>(context);
}

}  // namespace orch::server
