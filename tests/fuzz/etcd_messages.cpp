// etcd's request messages as they come from the network: whatever the bytes, decoding and checking
// neither crash nor read outside of them; what decodes encodes to something that decodes again.
#include <cstdlib>

#include "net/grpc/framing.h"
#include "server/etcd/convert.h"

using namespace orch::server::etcd;

namespace {

template <class T>
bool round_trip(std::string_view in, T& message) {
  if (!decode(in, message)) return false;
  T again;
  if (!decode(encode(message), again)) abort();
  return true;
}

template <class T>
void checked(std::string_view in) {
  T message;
  if (round_trip(in, message)) (void)to_store(message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  if (all.empty()) return 0;
  const std::string_view in = all.substr(1);
  switch (all[0] % 8) {
    case 0:
      checked<RangeRequest>(in);
      break;
    case 1:
      checked<PutRequest>(in);
      break;
    case 2:
      checked<DeleteRangeRequest>(in);
      break;
    case 3:
      checked<TxnRequest>(in);
      break;
    case 4: {
      WatchRequest watch;
      (void)round_trip(in, watch);
      break;
    }
    case 5: {
      LeaseTimeToLiveRequest lease;
      (void)round_trip(in, lease);
      break;
    }
    case 6: {
      TxnResponse answer;
      (void)round_trip(in, answer);
      WatchResponse events;
      (void)round_trip(in, events);
      break;
    }
    default: {
      orch::net::GrpcAssembler assembler(4096);
      std::string_view rest = in;
      while (!rest.empty()) {
        if (!assembler.take(rest)) break;
      }
      (void)orch::net::parse_grpc_timeout(in);
      (void)orch::net::decode_grpc_message(in);
    }
  }
  return 0;
}
