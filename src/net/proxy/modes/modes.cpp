#include <fmt/format.h>

#include "orch/net/proxy.h"

namespace orch::net {

#define ORCH_PROXY_MODE(name, factory) \
  Result<std::unique_ptr<ProxyBackend>, NetError> factory(const ProxyOptions& options);
#include "net/proxy/modes/modes.def"
#undef ORCH_PROXY_MODE

Result<std::unique_ptr<ProxyBackend>, NetError> make_proxy_backend(std::string_view mode,
                                                                   const ProxyOptions& options) {
  std::string known;
#define ORCH_PROXY_MODE(name, factory)       \
  if (mode == name) return factory(options); \
  known += known.empty() ? name : ", " name;
#include "net/proxy/modes/modes.def"
#undef ORCH_PROXY_MODE
  return Err(fmt::format("invalid proxy mode \"{}\": must be one of {}", mode, known));
}

}  // namespace orch::net
