// Certificates and signing requests in PEM.
#include <cstddef>
#include <cstdint>
#include <string>

#include "orch/net/tls.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace orch;
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)net::parse_csr(text);
  (void)net::parse_certificate(text);
  (void)net::verify_chain(text, text, WallTime{});
  (void)net::ec_public_point(text);
  (void)net::es256_verify(text, text, std::string(64, 'x'));
  return 0;
}
