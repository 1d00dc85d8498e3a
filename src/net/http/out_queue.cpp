#include "net/http/out_queue.h"

#include <algorithm>
#include <cstdio>

#include "orch/base/assert.h"

namespace orch::net {

void OutQueue::push(std::shared_ptr<const std::string> bytes, bool chunked) {
  // An empty chunk would end the chunked coding.
  if (!bytes || bytes->empty()) return;
  bytes_ += bytes->size();
  segments_.push_back(Segment{std::move(bytes), 0, chunked});
}

void OutQueue::push(std::string bytes, bool chunked) {
  push(std::make_shared<const std::string>(std::move(bytes)), chunked);
}

void OutQueue::push_tail(size_t bytes, std::function<std::string()> next) {
  tail_bytes_ = bytes;
  tail_ = std::move(next);
}

// The next part of the tail as a segment; false when there is none.
bool OutQueue::pull_tail() {
  if (tail_bytes_ == 0) return false;
  std::string part = tail_();
  ORCH_ASSERT(!part.empty() && part.size() <= tail_bytes_);
  tail_bytes_ -= part.size();
  if (tail_bytes_ == 0) tail_ = nullptr;
  segments_.clear();
  next_ = 0;
  push(std::move(part));
  return true;
}

void OutQueue::gather(std::string& record) {
  constexpr size_t kFrameBytes = 24;  // size line and both line ends
  record.clear();
  while (record.size() + kFrameBytes < kRecordBytes) {
    if (next_ == segments_.size() && !pull_tail()) break;
    Segment& segment = segments_[next_];
    const std::string& data = *segment.data;
    if (segment.sent == 0 && segment.chunked) {
      char size_line[20];
      int size = snprintf(size_line, sizeof size_line, "%zx\r\n", data.size());
      record.append(size_line, static_cast<size_t>(size));
    }
    size_t room = kRecordBytes - record.size() - 2;
    size_t take = std::min(room, data.size() - segment.sent);
    record.append(data, segment.sent, take);
    segment.sent += take;
    bytes_ -= take;
    if (segment.sent < data.size()) break;
    if (segment.chunked) record.append("\r\n");
    segment.data.reset();
    ++next_;
  }
  if (next_ == segments_.size()) {
    // Idle streams are many: they keep no memory.
    if (segments_.capacity() > 4) std::vector<Segment>().swap(segments_);
    segments_.clear();
    next_ = 0;
  } else if (next_ >= 64 && next_ * 2 > segments_.size()) {
    segments_.erase(segments_.begin(), segments_.begin() + static_cast<ptrdiff_t>(next_));
    next_ = 0;
  }
}

void OutQueue::clear() {
  std::vector<Segment>().swap(segments_);
  next_ = 0;
  bytes_ = 0;
  tail_bytes_ = 0;
  tail_ = nullptr;
}

}  // namespace orch::net
