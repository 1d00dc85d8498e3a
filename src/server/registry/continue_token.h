// The continue token of a paged list: revision and the key to go on from, relative to the listed
// prefix, so that a forged one can never leave it. Opaque to clients; base64url of a small JSON
// text, as upstream's. Stateless; any thread.
#pragma once

#include <string>
#include <string_view>

#include "orch/base/result.h"
#include "orch/storage/kv_store.h"

namespace orch::server {

struct ContinueToken {
  storage::Revision revision = 0;  // -1 = go on inconsistently at the newest revision
  std::string start;               // relative key, exclusive of what was sent
};
std::string encode_continue(const ContinueToken& token);
// Error: what is wrong with it.
Result<ContinueToken, std::string> decode_continue(std::string_view text);

}  // namespace orch::server
