#include "orch/client/attachment.h"

#include "orch/net/tls.h"

namespace orch::client {

std::string attachment_name(std::string_view handle, std::string_view driver,
                            std::string_view node) {
  std::string text(handle);
  text.append(driver).append(node);
  return "csi-" + net::sha256_hex(text);
}

std::string csi_volume_name(std::string_view driver, std::string_view handle) {
  std::string out = "kubernetes.io/csi/";
  out.append(driver).append("^").append(handle);
  return out;
}

}  // namespace orch::client
