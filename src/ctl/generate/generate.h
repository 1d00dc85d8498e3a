// Objects out of flags: what `create WHAT NAME`, `run` and their kin send.
#pragma once

#include <string>
#include <vector>

#include "ctl/write.h"

namespace orch::ctl {

using Generator = Outcome<api::JsonValue> (*)(Session&, const std::string& name);

struct Generated {
  std::string_view words;  // "secret tls"
  std::string_view alias;  // "cm"
  // Before the server's message when it refuses; "" = the server's error as it is.
  std::string_view failing;
  Generator make;
};
const std::vector<Generated>& generated_kinds();

// generate/*.cpp, by subject
std::vector<Generated> generated_workloads();
std::vector<Generated> generated_config();
std::vector<Generated> generated_access();
std::vector<Generated> generated_network();
std::vector<Generated> generated_policy();

// The words after "--"; {} if there are none.
std::vector<std::string> words_after_dash(const Flags& flags);
// --flag must be given: `error: required flag(s) "image" not set`.
Outcome<Unit> need_flag(const Flags& flags, std::string_view name);

}  // namespace orch::ctl
