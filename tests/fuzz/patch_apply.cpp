// Server-side apply and managedFields over arbitrary live, applied and updated objects. Input:
// three lines. Whatever the server answers itself must be taken back unchanged.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "orch/api/corev1.h"
#include "orch/api/patch.h"

using namespace orch;
using namespace orch::api;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  std::string_view lines[3];
  for (std::string_view& line : lines) {
    line = input.substr(0, input.find('\n'));
    input.remove_prefix(std::min(input.size(), line.size() + 1));
  }
  const TypeInfo& type = corev1::Pod::type_info();
  const WallTime now{std::chrono::seconds{1'700'000'000}};
  auto applied = server_side_apply({lines[0], lines[1], "fuzz", "", true, now}, type);
  if (applied) {
    auto again = server_side_apply({*applied, lines[1], "fuzz", "", false, now}, type);
    if (!again) std::abort();  // the same manager never conflicts with itself
  }
  auto tracked = track_update(lines[0], lines[2], "fuzz", "", now, type);
  if (tracked) {
    auto unchanged = track_update(*tracked, *tracked, "other", "", now, type);
    if (!unchanged || *unchanged != *tracked) std::abort();
  }
  return 0;
}
