// Whether a cluster at rest is as its objects say.
#pragma once

#include <string>
#include <vector>

#include "orch/client/client.h"

namespace orch::sim {

// What is not as desired, a sentence each; empty = everything is.
std::vector<std::string> undesired(const client::Client& client);

}  // namespace orch::sim
