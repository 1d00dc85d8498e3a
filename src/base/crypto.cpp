#include "orch/base/crypto.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "orch/base/assert.h"

namespace orch {
namespace {

constexpr size_t kGcmNonce = 12, kGcmTag = 16, kCbcIv = 16;

struct FreeCipher {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

unsigned char* bytes_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }
const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

const EVP_CIPHER* gcm_for(std::string_view key) {
  return key.size() == 16   ? EVP_aes_128_gcm()
         : key.size() == 24 ? EVP_aes_192_gcm()
         : key.size() == 32 ? EVP_aes_256_gcm()
                            : nullptr;
}

const EVP_CIPHER* cbc_for(std::string_view key) {
  return key.size() == 16   ? EVP_aes_128_cbc()
         : key.size() == 24 ? EVP_aes_192_cbc()
         : key.size() == 32 ? EVP_aes_256_cbc()
                            : nullptr;
}

// What one pass over `input` gives, appended to `out`; `bound` only for GCM.
bool run(EVP_CIPHER_CTX* context, std::string_view input, std::string_view bound,
         std::string_view tag, std::string& out) {
  int done = 0;
  if (!bound.empty() && EVP_CipherUpdate(context, nullptr, &done, bytes_of(bound),
                                         static_cast<int>(bound.size())) != 1) {
    return false;
  }
  const size_t at = out.size();
  out.resize(at + input.size() + EVP_MAX_BLOCK_LENGTH);
  int first = 0, last = 0;
  if (EVP_CipherUpdate(context, bytes_of(out) + at, &first, bytes_of(input),
                       static_cast<int>(input.size())) != 1) {
    return false;
  }
  if (!tag.empty() &&
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, static_cast<int>(tag.size()),
                          const_cast<char*>(tag.data())) != 1) {
    return false;
  }
  if (EVP_CipherFinal_ex(context, bytes_of(out) + at + first, &last) != 1) return false;
  out.resize(at + static_cast<size_t>(first + last));
  return true;
}

bool start(EVP_CIPHER_CTX* context, const EVP_CIPHER* cipher, std::string_view key,
           std::string_view iv, bool sealing) {
  return context && cipher &&
         EVP_CipherInit_ex(context, cipher, nullptr, bytes_of(key), bytes_of(iv), sealing) == 1;
}

}  // namespace

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  ORCH_ASSERT(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;

void Sha256::add(std::string_view bytes) {
  ORCH_ASSERT(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

std::string Sha256::finish() {
  std::string sum(kSha256Bytes, '\0');
  ORCH_ASSERT(EVP_DigestFinal_ex(state_->context, bytes_of(sum), nullptr) == 1);
  return sum;
}

std::optional<std::string> random_key(size_t bytes) {
  std::string key(bytes, '\0');
  if (RAND_bytes(bytes_of(key), static_cast<int>(bytes)) != 1) return std::nullopt;
  return key;
}

std::optional<std::string> aes_gcm_seal(std::string_view key, std::string_view plain,
                                        std::string_view bound) {
  auto out = random_key(kGcmNonce);
  const Cipher context(EVP_CIPHER_CTX_new());
  if (!out || !start(context.get(), gcm_for(key), key, *out, true)) return std::nullopt;
  if (!run(context.get(), plain, bound, "", *out)) return std::nullopt;
  std::string tag(kGcmTag, '\0');
  if (EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kGcmTag, tag.data()) != 1) {
    return std::nullopt;
  }
  return *out + tag;
}

std::optional<std::string> aes_gcm_open(std::string_view key, std::string_view sealed,
                                        std::string_view bound) {
  if (sealed.size() < kGcmNonce + kGcmTag) return std::nullopt;
  const Cipher context(EVP_CIPHER_CTX_new());
  if (!start(context.get(), gcm_for(key), key, sealed.substr(0, kGcmNonce), false)) {
    return std::nullopt;
  }
  const auto body = sealed.substr(kGcmNonce, sealed.size() - kGcmNonce - kGcmTag);
  std::string out;
  if (!run(context.get(), body, bound, sealed.substr(sealed.size() - kGcmTag), out)) {
    return std::nullopt;
  }
  return out;
}

std::optional<std::string> aes_cbc_seal(std::string_view key, std::string_view plain) {
  auto out = random_key(kCbcIv);
  const Cipher context(EVP_CIPHER_CTX_new());
  if (!out || !start(context.get(), cbc_for(key), key, *out, true)) return std::nullopt;
  if (!run(context.get(), plain, "", "", *out)) return std::nullopt;
  return out;
}

std::optional<std::string> aes_cbc_open(std::string_view key, std::string_view sealed) {
  if (sealed.size() < 2 * kCbcIv) return std::nullopt;
  const Cipher context(EVP_CIPHER_CTX_new());
  if (!start(context.get(), cbc_for(key), key, sealed.substr(0, kCbcIv), false)) {
    return std::nullopt;
  }
  std::string out;
  if (!run(context.get(), sealed.substr(kCbcIv), "", "", out)) return std::nullopt;
  return out;
}

}  // namespace orch
