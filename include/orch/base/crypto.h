// SHA-256 and sealing with AES: what storage and base need of OpenSSL without the network's TLS.
// Values; any thread, an object by one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace orch {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  void add(std::string_view bytes);
  std::string finish();  // 32 bytes; once

 private:
  struct State;
  std::unique_ptr<State> state_;
};

inline constexpr size_t kSha256Bytes = 32;

// AES in Galois/Counter mode: a fresh random nonce (12 bytes), the ciphertext, the tag (16 bytes).
// `key`: 16, 24 or 32 bytes. `bound`: authenticated, not kept: who opens must know it. Empty: the
// key has another length, or the library failed.
std::optional<std::string> aes_gcm_seal(std::string_view key, std::string_view plain,
                                        std::string_view bound);
// Empty: not sealed with this key for `bound`, or changed since.
std::optional<std::string> aes_gcm_open(std::string_view key, std::string_view sealed,
                                        std::string_view bound);
// AES in CBC mode, PKCS #7 padded, after its random IV (16 bytes). Nothing is authenticated.
std::optional<std::string> aes_cbc_seal(std::string_view key, std::string_view plain);
std::optional<std::string> aes_cbc_open(std::string_view key, std::string_view sealed);

// From the kernel's generator. Empty: there is none.
std::optional<std::string> random_key(size_t bytes);

}  // namespace orch
