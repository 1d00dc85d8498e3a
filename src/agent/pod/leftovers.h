// Names that a runtime keeps for things of an earlier life. Pure.
#pragma once

#include <string>
#include <string_view>

namespace orch::agent {

// The id in `name "x" is reserved for "ID"` (containerd) or `... is reserved for ID` (CRI-O); "" =
// the error is another.
std::string reserved_by(std::string_view error);

}  // namespace orch::agent
