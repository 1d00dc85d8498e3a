// Records Kubernetes Events (core/v1) with aggregation: same event again = count + 1 by patch.
// Asynchronous, bounded, best effort; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "orch/api/object.h"
#include "orch/base/env.h"
#include "orch/client/client.h"

namespace orch::client {

struct EventSubject {
  std::string api_version, kind, namespace_, name, uid, resource_version, field_path;
  std::string component;  // whose event it is; "" = the recorder's own
};
EventSubject subject_of(const api::Object& object);

class EventRecorder {
 public:
  virtual ~EventRecorder() = default;
  // type: "Normal" or "Warning".
  virtual void record(const EventSubject& subject, std::string_view type, std::string_view reason,
                      std::string_view message) = 0;
};
std::unique_ptr<EventRecorder> make_event_recorder(Env& env, Transport& transport,
                                                   std::string component, std::string host = "");

}  // namespace orch::client
