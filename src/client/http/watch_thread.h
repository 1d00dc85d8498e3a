// One running watch over HTTP: a thread with a small stack that reads the stream and cuts it into
// events. Destroying it cancels the stream and joins; from inside a callback it detaches instead.
#pragma once

#include <memory>
#include <string>

#include "orch/client/transport.h"
#include "orch/net/http.h"

namespace orch::client {

// Returns when the thread runs; a refusal by the server comes through callbacks.ended.
api::ApiResult<std::unique_ptr<WatchStream>> start_watch_thread(
    std::shared_ptr<net::HttpClient> client, std::string target, net::Headers headers,
    WatchCallbacks callbacks);

// Cuts a byte stream into lines, each one JSON watch event, and hands them on.
class WatchDecoder {
 public:
  explicit WatchDecoder(std::function<void(WatchEvent)> event) : event_(std::move(event)) {}
  // False = the stream is over: error() says why (an ERROR event, an over-long or broken line).
  bool feed(std::string_view bytes);
  const api::Error* error() const { return failed_ ? &error_ : nullptr; }

 private:
  bool line(std::string_view text);
  bool fail(api::Error error);

  std::function<void(WatchEvent)> event_;
  std::string rest_;
  bool failed_ = false;
  api::Error error_;
};

}  // namespace orch::client
