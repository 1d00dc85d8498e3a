#include "orch/base/crypto.h"

#include <catch2/catch.hpp>

namespace orch {
namespace {

std::string hex(std::string_view bytes) {
  std::string out;
  for (const unsigned char c : bytes) {
    out += "0123456789abcdef"[c >> 4];
    out += "0123456789abcdef"[c & 15];
  }
  return out;
}

TEST_CASE("SHA-256 is the standard's", "[base][crypto]") {
  Sha256 sum;
  sum.add("a");
  sum.add("bc");
  CHECK(hex(sum.finish()) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hex(Sha256().finish()).starts_with("e3b0c44298fc1c14"));
}

TEST_CASE("what is sealed opens for the same key and binding only", "[base][crypto]") {
  for (const size_t size : {16u, 24u, 32u}) {
    const std::string key = random_key(size).value();
    const std::string other = random_key(size).value();
    for (const std::string plain : {std::string(), std::string("x"), std::string(5000, 'y')}) {
      const auto sealed = aes_gcm_seal(key, plain, "/registry/a");
      REQUIRE(sealed);
      CHECK(sealed->size() == plain.size() + 28);
      CHECK(aes_gcm_open(key, *sealed, "/registry/a") == plain);
      CHECK(!aes_gcm_open(other, *sealed, "/registry/a"));
      CHECK(!aes_gcm_open(key, *sealed, "/registry/b"));
      CHECK(!aes_gcm_open(key, sealed->substr(1), "/registry/a"));
      for (const size_t at : {size_t{0}, sealed->size() - 1, sealed->size() / 2}) {
        std::string changed = *sealed;
        changed[at] = static_cast<char>(changed[at] ^ 1);
        CHECK(!aes_gcm_open(key, changed, "/registry/a"));
      }
      CHECK(*sealed != aes_gcm_seal(key, plain, "/registry/a").value());
      const auto chained = aes_cbc_seal(key, plain);
      REQUIRE(chained);
      CHECK(chained->size() % 16 == 0);
      CHECK(aes_cbc_open(key, *chained) == plain);
      CHECK(!aes_cbc_open(key, chained->substr(0, chained->size() - 1)));
    }
  }
}

TEST_CASE("keys of another length and short input are refused", "[base][crypto]") {
  for (const size_t size : {0u, 1u, 15u, 17u, 31u, 33u}) {
    const std::string key(size, 'k');
    CHECK(!aes_gcm_seal(key, "x", ""));
    CHECK(!aes_cbc_seal(key, "x"));
  }
  const std::string key(32, 'k');
  for (size_t size = 0; size < 32; ++size) {
    CHECK(!aes_gcm_open(key, std::string(size, 's'), ""));
    CHECK(!aes_cbc_open(key, std::string(size, 's')));
  }
}

}  // namespace
}  // namespace orch
