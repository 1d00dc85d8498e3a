#include "orch/net/jose.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "net/http/openssl_types.h"

namespace orch::net {
namespace {

using ContextPtr = std::unique_ptr<EVP_PKEY_CTX, OpensslFree<EVP_PKEY_CTX_free>>;
using BuilderPtr = std::unique_ptr<OSSL_PARAM_BLD, OpensslFree<OSSL_PARAM_BLD_free>>;
using ParamsPtr = std::unique_ptr<OSSL_PARAM, OpensslFree<OSSL_PARAM_free>>;

constexpr int kRsaBitsMin = 2048;
constexpr size_t kNumberBytesMax = 1024;  // RSA of 8192 bits

NumberPtr number_of(std::string_view bytes) {
  return NumberPtr(BN_bin2bn(bytes_of(bytes), static_cast<int>(bytes.size()), nullptr));
}

struct Curve {
  std::string_view name;
  const char* group;
  size_t bytes;  // of a coordinate
  std::string_view algorithm;
};
constexpr Curve kCurves[] = {{"P-256", "prime256v1", 32, "ES256"},
                             {"P-384", "secp384r1", 48, "ES384"},
                             {"P-521", "secp521r1", 66, "ES512"}};

// By the last three characters of an algorithm's name.
const EVP_MD* digest_of(std::string_view algorithm) {
  if (algorithm.ends_with("256")) return EVP_sha256();
  if (algorithm.ends_with("384")) return EVP_sha384();
  if (algorithm.ends_with("512")) return EVP_sha512();
  return nullptr;
}

KeyPtr key_from(const char* type, const ParamsPtr& params) {
  ContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    ERR_clear_error();
    return nullptr;
  }
  return KeyPtr(key);
}

bool verify_digest(EVP_PKEY* key, const EVP_MD* digest, bool pss, std::string_view data,
                   std::string_view signature) {
  DigestPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* inner = nullptr;
  bool ok = context && EVP_DigestVerifyInit(context.get(), &inner, digest, nullptr, key) == 1;
  if (ok && pss) {
    ok = EVP_PKEY_CTX_set_rsa_padding(inner, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(inner, RSA_PSS_SALTLEN_DIGEST) == 1;
  }
  ok = ok && EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(data),
                              data.size()) == 1;
  ERR_clear_error();
  return ok;
}

class RsaKey final : public JoseKey {
 public:
  explicit RsaKey(KeyPtr key) : key_(std::move(key)) {}
  bool verify(std::string_view algorithm, std::string_view data,
              std::string_view signature) const override {
    const bool pss = algorithm.starts_with("PS");
    if (algorithm.size() != 5 || (!pss && !algorithm.starts_with("RS"))) return false;
    const EVP_MD* digest = digest_of(algorithm);
    return digest != nullptr && verify_digest(key_.get(), digest, pss, data, signature);
  }

 private:
  KeyPtr key_;
};

class EcKey final : public JoseKey {
 public:
  EcKey(KeyPtr key, const Curve& curve) : key_(std::move(key)), curve_(curve) {}
  bool verify(std::string_view algorithm, std::string_view data,
              std::string_view signature) const override {
    if (algorithm != curve_.algorithm || signature.size() != 2 * curve_.bytes) return false;
    // Raw r||s into the DER that OpenSSL wants.
    SignaturePtr pair(ECDSA_SIG_new());
    NumberPtr r = number_of(signature.substr(0, curve_.bytes));
    NumberPtr s = number_of(signature.substr(curve_.bytes));
    if (!pair || !r || !s || ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1) return false;
    r.release();
    s.release();
    unsigned char* der = nullptr;
    const int size = i2d_ECDSA_SIG(pair.get(), &der);
    if (size <= 0) return false;
    const std::string text(reinterpret_cast<char*>(der), static_cast<size_t>(size));
    OPENSSL_free(der);
    return verify_digest(key_.get(), digest_of(algorithm), false, data, text);
  }

 private:
  KeyPtr key_;
  const Curve& curve_;
};

}  // namespace

Result<std::shared_ptr<const JoseKey>, std::string> JoseKey::rsa(std::string_view modulus,
                                                                 std::string_view exponent) {
  if (modulus.size() > kNumberBytesMax || exponent.size() > sizeof(uint64_t)) {
    return Err(std::string("RSA key too large"));
  }
  NumberPtr n = number_of(modulus), e = number_of(exponent);
  BuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!n || !e || !builder || BN_num_bits(n.get()) < kRsaBitsMin || BN_is_zero(e.get()) ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return Err(std::string("not an RSA key of at least 2048 bits"));
  }
  KeyPtr key = key_from("RSA", ParamsPtr(OSSL_PARAM_BLD_to_param(builder.get())));
  if (!key) return Err(std::string("not an RSA key"));
  return std::shared_ptr<const JoseKey>(std::make_shared<RsaKey>(std::move(key)));
}

Result<std::shared_ptr<const JoseKey>, std::string> JoseKey::ec(std::string_view curve,
                                                                std::string_view x,
                                                                std::string_view y) {
  for (const Curve& known : kCurves) {
    if (known.name != curve) continue;
    if (x.size() != known.bytes || y.size() != known.bytes) break;
    const std::string point = std::string(1, '\x04') + std::string(x) + std::string(y);
    BuilderPtr builder(OSSL_PARAM_BLD_new());
    if (!builder ||
        OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, known.group,
                                        0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                         point.size()) != 1) {
      break;
    }
    KeyPtr key = key_from("EC", ParamsPtr(OSSL_PARAM_BLD_to_param(builder.get())));
    if (!key) break;
    return std::shared_ptr<const JoseKey>(std::make_shared<EcKey>(std::move(key), known));
  }
  return Err(std::string("not a key of P-256, P-384 or P-521"));
}

}  // namespace orch::net
