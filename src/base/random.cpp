#include "orch/base/random.h"

#include <sys/random.h>

#include <array>
#include <utility>

#include "orch/base/assert.h"
#include "orch/base/strings.h"

namespace orch {
namespace {

// A request takes nine words: each thread fetches them by the dozen. What was given out is not
// kept.
class SystemRandom final : public Random {
 public:
  uint64_t next() override {
    static thread_local std::array<uint64_t, 32> words;  // as many as one call surely gives
    static thread_local size_t left = 0;
    if (left == 0) {
      ORCH_ASSERT(getrandom(words.data(), sizeof words, 0) == sizeof words);
      left = words.size();
    }
    return std::exchange(words[--left], 0);
  }
};

// SplitMix64: small, fast, full period; for tests and simulation only.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}
  uint64_t next() override {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

 private:
  uint64_t state_;
};

std::string random_bytes(Random& random, int count) {
  std::string bytes;
  while (static_cast<int>(bytes.size()) < count) {
    uint64_t word = random.next();
    for (int i = 0; i < 8 && static_cast<int>(bytes.size()) < count; ++i, word >>= 8) {
      bytes.push_back(static_cast<char>(word & 0xff));
    }
  }
  return bytes;
}

}  // namespace

Random& system_random() {
  static SystemRandom random;
  return random;
}

std::unique_ptr<Random> seeded_random(uint64_t seed) {
  return std::make_unique<SeededRandom>(seed);
}

uint64_t random_below(Random& random, uint64_t bound) {
  ORCH_ASSERT(bound > 0);
  const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;  // rejection keeps it uniform
  uint64_t value = random.next();
  while (value >= limit) value = random.next();
  return value % bound;
}

std::string random_uuid(Random& random) {
  std::string bytes = random_bytes(random, 16);
  bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);
  std::string hex = hex_encode(bytes);
  for (size_t at : {8, 13, 18, 23}) hex.insert(at, 1, '-');
  return hex;
}

std::string random_name_suffix(Random& random, int length) {
  static constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string out;
  for (int i = 0; i < length; ++i) out.push_back(kAlphabet[random_below(random, kAlphabet.size())]);
  return out;
}

std::string random_hex(Random& random, int bytes) {
  return hex_encode(random_bytes(random, bytes));
}

}  // namespace orch
