// AuthenticationConfiguration and AuthorizationConfiguration.
#include <cstddef>
#include <cstdint>
#include <string>

#include "server/auth/access_files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)orch::server::parse_authentication_file(text);
  (void)orch::server::parse_authorization_file(text);
  return 0;
}
