#include "orch/net/websocket.h"
#include "server/api/encode.h"
#include "server/api/internals.h"
#include "server/api/verbs/verbs.h"
#include "server/api/watch_session.h"

namespace orch::server {
namespace {

constexpr size_t kCongestedBytes = 4 * 1024 * 1024;

// Frames to an HTTP stream.
class StreamOutput final : public WatchOutput {
 public:
  StreamOutput(ApiServer& server, const api::ResourceInfo& resource, Encoding encoding,
               std::shared_ptr<net::Stream> stream)
      : server_(server), resource_(resource), encoding_(encoding), stream_(std::move(stream)) {}

  bool event(WatchEventType type, const Stored& object) override {
    // Only the first frame of a table shows the columns.
    const bool columns = first_ && encoding_.form.transform == Transform::kTable;
    first_ = false;
    std::string form = encoding_.id();
    if (columns) form += '+';
    return stream_->write(server_.internals().frames.get(object, type, form, [&] {
      encoding_.now = server_.env().clock.now();
      return watch_frame(encoding_, resource_, type, object, columns);
    }));
  }
  bool bookmark(storage::Revision revision, bool initial_events_end) override {
    return stream_->write(bookmark_frame(encoding_, resource_, revision, initial_events_end));
  }
  void error(const api::Error& error) override { stream_->write(error_frame(encoding_, error)); }
  void finish() override { stream_->finish(); }
  bool congested() const override { return stream_->buffered_bytes() > kCongestedBytes; }

 private:
  ApiServer& server_;
  const api::ResourceInfo& resource_;
  Encoding encoding_;
  std::shared_ptr<net::Stream> stream_;
  bool first_ = true;
};

}  // namespace

Answer verb_watch(ApiServer& server, Call& call, const api::ResourceInfo& resource,
                  net::HttpResponse& response) {
  ORCH_TRY(const Encoding encoding, encoding_of(call, server.env().clock.now()));
  if (encoding.form.media == api::MediaType::kYaml) {
    return Err(api::not_acceptable(
        "only the following media types are accepted: application/json;stream=watch, "
        "application/vnd.kubernetes.protobuf;stream=watch"));
  }
  ORCH_TRY(auto session, WatchSession::prepare(server, call, resource));
  response.status = 200;
  const bool protobuf = encoding.form.media == api::MediaType::kProtobuf;
  response.set("Content-Type",
               protobuf ? "application/vnd.kubernetes.protobuf;stream=watch" : "application/json");
  response.stream([&server, &resource, encoding, session](std::shared_ptr<net::Stream> stream) {
    session->begin(std::make_shared<StreamOutput>(server, resource, encoding, stream));
    const std::weak_ptr<WatchSession> weak = session;
    stream->on_close([weak] {
      if (auto ended = weak.lock()) ended->stop();
    });
  });
  if (call.http == nullptr || !net::is_websocket_request(call.http->headers)) return Unit{};
  const auto offered = net::websocket_protocols(call.http->headers);
  auto accepted = net::stream_as_messages(
      *call.http, offered.empty() ? "" : offered.front(),
      protobuf ? net::MessageForm::kBinary : net::MessageForm::kText, response);
  if (!accepted) return Err(api::bad_request(accepted.error()));
  return Unit{};
}

}  // namespace orch::server
