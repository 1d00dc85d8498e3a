// The injected world: built once in main (or a test) and passed by reference.
#pragma once

#include "orch/base/clock.h"
#include "orch/base/executor.h"
#include "orch/base/faults.h"
#include "orch/base/random.h"

namespace orch {

struct Env {
  Clock& clock;
  Executor& executor;
  Random& random;
  Faults& faults;
};

}  // namespace orch
