// Public keys of JSON Web Key Sets (RFC 7517) and the signatures made with them (RFC 7518): RSA
// with PKCS #1 v1.5 and PSS, ECDSA. Symmetric algorithms and "none" do not exist here. Immutable;
// any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "orch/base/result.h"

namespace orch::net {

class JoseKey {
 public:
  // Big-endian numbers, as decoded from base64url. RSA below 2048 bits is refused.
  static Result<std::shared_ptr<const JoseKey>, std::string> rsa(std::string_view modulus,
                                                                 std::string_view exponent);
  // `curve`: "P-256", "P-384" or "P-521".
  static Result<std::shared_ptr<const JoseKey>, std::string> ec(std::string_view curve,
                                                                std::string_view x,
                                                                std::string_view y);
  virtual ~JoseKey() = default;
  // False too when the algorithm is not one of this key's kind.
  virtual bool verify(std::string_view algorithm, std::string_view data,
                      std::string_view signature) const = 0;
};

}  // namespace orch::net
