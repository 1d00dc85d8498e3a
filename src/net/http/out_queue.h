// Bytes waiting to be sent: shared segments, optionally in chunked coding, gathered into records.
// Not thread-safe. Private to net/http.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace orch::net {

// TLS' largest record: a write of this size is one record and one system call.
inline constexpr size_t kRecordBytes = 16 * 1024;

class OutQueue {
 public:
  void push(std::shared_ptr<const std::string> bytes, bool chunked);
  void push(std::string bytes, bool chunked = false);
  // After what is queued, `next` is asked for parts until `bytes` bytes came.
  void push_tail(size_t bytes, std::function<std::string()> next);
  bool empty() const { return next_ == segments_.size() && tail_bytes_ == 0; }
  size_t bytes() const { return bytes_; }  // payload not gathered yet, without the tail
  // Replaces `record` by the next bytes to send, at most kRecordBytes; empty when nothing waits.
  void gather(std::string& record);
  void clear();

 private:
  struct Segment {
    std::shared_ptr<const std::string> data;
    size_t sent = 0;
    bool chunked = false;
  };
  bool pull_tail();
  std::vector<Segment> segments_;
  size_t tail_bytes_ = 0;
  std::function<std::string()> tail_;
  size_t next_ = 0;
  size_t bytes_ = 0;
};

}  // namespace orch::net
