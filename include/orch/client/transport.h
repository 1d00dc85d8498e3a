// How requests reach an API server: in process (LocalTransport, in src/server/api), over HTTPS
// (HttpTransport), or simulated. Controllers, scheduler and agent see nothing but this.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/error.h"
#include "orch/api/object.h"
#include "orch/api/scheme.h"

namespace orch::client {

struct Request {
  std::string verb;  // get list watch create update patch delete deletecollection
  std::string group, version, resource;
  std::string namespace_, name, subresource;
  // Query parameters as on the wire: labelSelector, fieldSelector, limit, continue,
  // resourceVersion, fieldManager, force, dryRun, propagationPolicy ... in order.
  std::vector<std::pair<std::string, std::string>> query;
  std::string body;          // JSON
  std::string content_type;  // "" = application/json
  // In place of `body`, where both sides are in one process: the object itself.
  api::ObjectPtr object;
};

struct Response {
  int code = 200;
  std::string body;  // JSON
};

// A running watch. Destroying it ends the watch; no callback runs afterwards.
class WatchStream {
 public:
  virtual ~WatchStream() = default;
};
struct WatchEvent {
  std::string type;         // ADDED MODIFIED DELETED BOOKMARK
  std::string object_json;  // for ERROR see WatchCallbacks::ended
};
struct WatchCallbacks {
  // Called one at a time, on a thread of the transport; must not block for long.
  std::function<void(WatchEvent)> event;
  // The last call. The error is set when the server said why (410 Expired); else the stream just
  // ended and the caller resumes.
  std::function<void(const api::Error* error)> ended;
};

class Transport {
 public:
  virtual ~Transport() = default;
  // Blocks. A failure answer is the api::Error that the Status says; a dead peer is
  // service_unavailable with the cause in its message.
  virtual api::ApiResult<Response> call(const Request& request) = 0;
  virtual api::ApiResult<std::unique_ptr<WatchStream>> watch(const Request& request,
                                                             WatchCallbacks callbacks) = 0;
};

}  // namespace orch::client
