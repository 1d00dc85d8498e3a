// What ADD, DEL and CHECK do to the kernel. Private to net/cni.
#pragma once

#include <string>

#include "net/cni/protocol.h"

namespace orch::net {

struct CniTarget {
  std::string container, netns, interface;
};
// On an error nothing stays: address, link and ports are taken back.
Result<CniAttachment, CniError> attach(const CniNetwork& network, const CniTarget& target);
Result<Unit, CniError> detach(const CniNetwork& network, const CniTarget& target);  // idempotent
Result<Unit, CniError> check_attachment(const CniNetwork& network, const CniTarget& target);

// The host's end of the pod's veth.
std::string host_link_name(const CniTarget& target);

// The whole plugin but process input and output: answer text and exit code.
struct CniEnvironment {
  std::string command, container, netns, interface;
};
struct CniAnswer {
  std::string text;
  int exit_code = 0;
};
CniAnswer run_cni(const CniEnvironment& environment, const std::string& input);

}  // namespace orch::net
