#include "orch/net/proxy.h"

namespace orch::net {

Result<std::unique_ptr<ProxyBackend>, NetError> make_iptables_proxy(const ProxyOptions&) {
  return Err(NetError("proxy mode iptables is not available in this build; use nftables"));
}

}  // namespace orch::net
