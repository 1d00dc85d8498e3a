// Field selectors against every resource: whatever parses can be asked of any object, and a
// selector for the value an object has selects it.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/scheme.h"
#include "orch/api/selector.h"

using namespace orch::api;

namespace {

struct Sample {
  const ResourceInfo* resource;
  std::unique_ptr<Object> object;
};

const std::vector<Sample>& samples() {
  static const std::vector<Sample> list = [] {
    std::vector<Sample> out;
    for (const ResourceInfo* resource : all_resources()) {
      if (resource->field_value == nullptr) continue;
      Sample sample{resource, std::unique_ptr<Object>(resource->type->make_object())};
      set_defaults(*resource, *sample.object);
      out.push_back(std::move(sample));
    }
    return out;
  }();
  return list;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto selector = FieldSelector::parse(input);
  if (!selector) return 0;
  for (const Sample& sample : samples()) {
    const auto value_of = [&](std::string_view field) {
      return sample.resource->field_value(*sample.object, field);
    };
    const bool matches = selector->matches(value_of);
    bool all = true;
    for (const auto& requirement : selector->requirements()) {
      all = all && (value_of(requirement.field) == requirement.value) == requirement.equal;
    }
    if (matches != all) std::abort();
  }
  return 0;
}
