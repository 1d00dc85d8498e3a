// Field sets of metadata.managedFields (FieldsV1). Input: two lines, each a set. What parses is
// written and read to the same, and the operations on sets obey their laws.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "api/patch/field_set.h"

using namespace orch;
using namespace orch::api;

namespace {

std::optional<FieldSet> read(std::string_view text) {
  doc::Arena arena;  // sets copy what they keep
  const auto value = doc::parse(text, arena);
  if (!value) return std::nullopt;
  auto set = FieldSet::parse(*value);
  // The root as such is no path; "." there says nothing, and is not written.
  if (!set || set->member()) return std::nullopt;
  return std::move(*set);
}

std::string written(const FieldSet& set) {
  std::string out;
  set.write(out);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = input.find('\n');
  const auto a = read(input.substr(0, end));
  if (!a) return 0;
  const auto again = read(written(*a));
  if (!again || !(*again == *a) || written(*again) != written(*a)) std::abort();
  a->for_each([](const std::string& path) {
    if (path.size() > 1 << 20) std::abort();
  });
  const auto b = read(end == std::string_view::npos ? "" : input.substr(end + 1));
  if (!b) return 0;
  FieldSet sum = *a;
  sum.add(*b);
  FieldSet other = *b;
  other.add(*a);
  if (!(sum == other)) std::abort();
  if (!(sum.intersect(*a) == *a)) std::abort();
  FieldSet rest = sum;
  rest.subtract(*a);
  if (!rest.intersect(*a).empty()) std::abort();
  rest.add(*a);
  if (!(rest == sum)) std::abort();
  return 0;
}
