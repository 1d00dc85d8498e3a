// The pause image as an OCI image archive, put together from the program built into orch. Pure.
#pragma once

#include <string>
#include <string_view>

namespace orch::agent {

std::string_view pause_program();  // the ELF file
// An OCI layout as tar, named `name` (e.g. "orch.local/pause:1").
std::string pause_image_archive(std::string_view name);

}  // namespace orch::agent
