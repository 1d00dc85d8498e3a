// Randomness, injected: names, uids, jitter. The system source is any-thread; a seeded one is not.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace orch {

class Random {
 public:
  virtual ~Random() = default;
  virtual uint64_t next() = 0;
};

Random& system_random();  // the kernel's generator; fit for secrets
std::unique_ptr<Random> seeded_random(uint64_t seed);

// Uniform in [0, bound); bound > 0.
uint64_t random_below(Random& random, uint64_t bound);
// RFC 4122 version 4, lower case.
std::string random_uuid(Random& random);
// `length` characters of Kubernetes' name alphabet (no vowels, no look-alikes), as generateName
// and pod template hashes use.
std::string random_name_suffix(Random& random, int length = 5);
std::string random_hex(Random& random, int bytes);

}  // namespace orch
