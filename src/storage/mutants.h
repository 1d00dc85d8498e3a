// Rules that a test build can break one by one, to see that the checks of histories notice. In
// every other build ORCH_MUTANT is false, and nothing is left of it.
#pragma once

#ifdef ORCH_STORAGE_MUTANTS
#include <string_view>

namespace orch::storage {
bool mutant(std::string_view rule);  // the test's
}
#define ORCH_MUTANT(rule) ::orch::storage::mutant(rule)
#else
#define ORCH_MUTANT(rule) false
#endif
