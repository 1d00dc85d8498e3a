#include <array>

#include "orch/net/spdy.h"

namespace orch::net {
namespace {

constexpr size_t kReadBytes = 32 * 1024;
constexpr size_t kPieceBytes = 64 * 1024;  // so that frames of several streams take turns
constexpr uint32_t kCancel = 5;            // RST_STREAM's status

}  // namespace

Result<Unit, std::string> SpdyClient::send(std::string_view frame) {
  std::lock_guard lock(write_mutex_);
  return connection_->write_all(frame);
}

Result<uint32_t, std::string> SpdyClient::open(const Headers& headers) {
  std::lock_guard lock(write_mutex_);
  const uint32_t stream = next_stream_;
  next_stream_ += 2;
  {
    std::lock_guard reply_lock(reply_mutex_);
    waiting_.insert(stream);
  }
  ORCH_CHECK(connection_->write_all(writer_.syn_stream(stream, headers)));
  return stream;
}

Result<Unit, std::string> SpdyClient::wait_for_reply(uint32_t stream) {
  std::unique_lock lock(reply_mutex_);
  replied_.wait(lock, [&] { return ended_ || !waiting_.contains(stream); });
  if (ended_) return Err(std::string("spdy: the connection ended"));
  return Unit{};
}

void SpdyClient::note_reply(uint32_t stream) {
  std::lock_guard lock(reply_mutex_);
  waiting_.erase(stream);
  replied_.notify_all();
}

Result<Unit, std::string> SpdyClient::write(uint32_t stream, std::string_view bytes) {
  ORCH_CHECK(wait_for_reply(stream));
  while (!bytes.empty()) {
    ORCH_CHECK(send(SpdyWriter::data(stream, bytes.substr(0, kPieceBytes), false)));
    bytes.remove_prefix(std::min(bytes.size(), kPieceBytes));
  }
  return Unit{};
}

Result<Unit, std::string> SpdyClient::finish(uint32_t stream) {
  ORCH_CHECK(wait_for_reply(stream));
  return send(SpdyWriter::data(stream, "", true));
}

Result<Unit, std::string> SpdyClient::reset(uint32_t stream) {
  return send(SpdyWriter::rst_stream(stream, kCancel));
}

Result<std::optional<SpdyClient::Event>, std::string> SpdyClient::receive() {
  auto event = next_event();
  if (event && *event) return event;
  std::lock_guard lock(reply_mutex_);
  ended_ = true;
  replied_.notify_all();
  return event;
}

Result<std::optional<SpdyClient::Event>, std::string> SpdyClient::next_event() {
  std::array<char, kReadBytes> bytes;
  for (;;) {
    ORCH_TRY(auto frame, reader_.next());
    if (!frame) {
      ORCH_TRY(const size_t count, connection_->read(bytes.data(), bytes.size()));
      if (count == 0) return std::optional<Event>();
      reader_.feed({bytes.data(), count});
      continue;
    }
    switch (frame->type) {
      case SpdyType::kData:
        return std::optional(Event{frame->stream, std::move(frame->payload), frame->fin, false});
      case SpdyType::kRstStream:
        note_reply(frame->stream);
        return std::optional(Event{frame->stream, "", true, true});
      case SpdyType::kSynReply:
        note_reply(frame->stream);
        [[fallthrough]];
      case SpdyType::kHeaders:
        if (frame->fin) return std::optional(Event{frame->stream, "", true, false});
        break;
      case SpdyType::kSynStream:  // nothing here takes streams
        ORCH_CHECK(send(SpdyWriter::rst_stream(frame->stream, 3)));
        break;
      case SpdyType::kPing:
        if (frame->value % 2 == 0) ORCH_CHECK(send(SpdyWriter::ping(frame->value)));
        break;
      case SpdyType::kGoAway:
      case SpdyType::kSettings:
      case SpdyType::kWindowUpdate:
        break;
    }
  }
}

void SpdyClient::close() { connection_->close(); }

}  // namespace orch::net
