// Broken behaviours, to prove that the invariants see them: a component's requests and answers are
// tampered with on their way, or the store behind the API server's back.
#pragma once

#include <string>
#include <vector>

#include "sim/control_plane.h"

namespace orch::sim {

class World;

struct Mutant {
  std::string name, about;
  std::string caught_by;  // the invariant
};
const std::vector<Mutant>& mutants();
// Null for "" and for what the mutant leaves alone.
Wrap mutant_wrap(World& world, const std::string& name);

}  // namespace orch::sim
