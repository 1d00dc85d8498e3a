// Digests and ES256 (RFC 7518 3.4) of include/orch/net/tls.h.
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "net/http/openssl_types.h"
#include "orch/base/strings.h"
#include "orch/net/tls.h"

namespace orch::net {
namespace {

constexpr int kCoordinateBytes = 32;

unsigned char* bytes_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

bool is_p256(const EVP_PKEY* key) {
  char group[32];
  size_t size = 0;
  return key != nullptr && EVP_PKEY_get_group_name(key, group, sizeof group, &size) == 1 &&
         std::string_view(group, size) == "prime256v1";
}

// A public key from a private key's, a public key's or a certificate's PEM.
KeyPtr load_any_key(std::string_view pem) {
  KeyPtr key;
  if (pem.find("PRIVATE KEY") != std::string_view::npos) {
    key = load_private_key(pem);
  } else if (pem.find("BEGIN CERTIFICATE-") != std::string_view::npos) {
    if (X509Ptr certificate = load_certificate(pem)) key.reset(X509_get_pubkey(certificate.get()));
  } else {
    BioPtr bio = bio_of(pem);
    key.reset(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  }
  return key;
}

}  // namespace

std::string sha256(std::string_view bytes) {
  std::string digest(kCoordinateBytes, '\0');
  EVP_Digest(bytes.data(), bytes.size(), bytes_of(digest), nullptr, EVP_sha256(), nullptr);
  return digest;
}

std::string sha256_hex(std::string_view bytes) { return hex_encode(sha256(bytes)); }

Result<std::string, std::string> make_signing_key() {
  KeyPtr key(EVP_EC_gen("P-256"));
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (!key ||
      PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return Err(openssl_failure("generate key"));
  }
  return bio_text(bio.get());
}

Result<std::string, std::string> es256_sign(std::string_view private_key_pem,
                                            std::string_view data) {
  KeyPtr key = load_private_key(private_key_pem);
  if (!key) return Err(openssl_failure("signing key"));
  if (!is_p256(key.get())) return Err(std::string("signing key: not an ECDSA P-256 key"));
  DigestPtr context(EVP_MD_CTX_new());
  size_t size = 0;
  if (EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, bytes_of(data), data.size()) != 1) {
    return Err(openssl_failure("sign"));
  }
  std::string der(size, '\0');
  if (EVP_DigestSign(context.get(), bytes_of(der), &size, bytes_of(data), data.size()) != 1) {
    return Err(openssl_failure("sign"));
  }
  const unsigned char* at = bytes_of(std::string_view(der));
  SignaturePtr signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(size)));
  std::string raw(2 * kCoordinateBytes, '\0');
  if (!signature ||
      BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), bytes_of(raw), kCoordinateBytes) < 0 ||
      BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), bytes_of(raw) + kCoordinateBytes,
                   kCoordinateBytes) < 0) {
    return Err(openssl_failure("sign"));
  }
  return raw;
}

bool es256_verify(std::string_view key_pem, std::string_view data, std::string_view signature) {
  if (signature.size() != 2 * kCoordinateBytes) return false;
  KeyPtr key = load_any_key(key_pem);
  if (!is_p256(key.get())) {
    ERR_clear_error();
    return false;
  }
  SignaturePtr parts(ECDSA_SIG_new());
  NumberPtr r(BN_bin2bn(bytes_of(signature), kCoordinateBytes, nullptr));
  NumberPtr s(BN_bin2bn(bytes_of(signature) + kCoordinateBytes, kCoordinateBytes, nullptr));
  if (!parts || !r || !s || ECDSA_SIG_set0(parts.get(), r.release(), s.release()) != 1) {
    return false;
  }
  unsigned char* der = nullptr;
  int size = i2d_ECDSA_SIG(parts.get(), &der);
  DigestPtr context(EVP_MD_CTX_new());
  bool ok = size > 0 &&
            EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
            EVP_DigestVerify(context.get(), der, static_cast<size_t>(size), bytes_of(data),
                             data.size()) == 1;
  OPENSSL_free(der);
  ERR_clear_error();
  return ok;
}

Result<EcPublicPoint, std::string> ec_public_point(std::string_view key_pem) {
  KeyPtr key = load_any_key(key_pem);
  if (!key) return Err(openssl_failure("key"));
  if (!is_p256(key.get())) return Err(std::string("key: not an ECDSA P-256 key"));
  EcPublicPoint point{std::string(kCoordinateBytes, '\0'), std::string(kCoordinateBytes, '\0')};
  auto coordinate = [&](const char* name, std::string& out) {
    BIGNUM* raw = nullptr;
    if (EVP_PKEY_get_bn_param(key.get(), name, &raw) != 1) return false;
    NumberPtr number(raw);
    return BN_bn2binpad(raw, bytes_of(out), kCoordinateBytes) == kCoordinateBytes;
  };
  if (!coordinate(OSSL_PKEY_PARAM_EC_PUB_X, point.x) ||
      !coordinate(OSSL_PKEY_PARAM_EC_PUB_Y, point.y)) {
    return Err(openssl_failure("key"));
  }
  return point;
}

bool constant_time_equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace orch::net
