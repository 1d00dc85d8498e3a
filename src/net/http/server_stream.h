// The producer's end of a streamed response (Stream), and the inbox through which producers wake
// the loop. Private to net/http.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "net/http/out_queue.h"
#include "orch/net/http.h"

namespace orch::net {

struct Connection;
class ResponseStream;

// Outlives the server as long as a producer holds a stream.
class LoopInbox {
 public:
  LoopInbox();
  ~LoopInbox();
  int wake_fd() const { return wake_fd_; }
  void wake();
  void clear_wake();
  void push(std::shared_ptr<ResponseStream> stream);
  std::vector<std::shared_ptr<ResponseStream>> take();

 private:
  int wake_fd_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<ResponseStream>> dirty_;
};

class ResponseStream final : public Stream, public std::enable_shared_from_this<ResponseStream> {
 public:
  ResponseStream(std::shared_ptr<LoopInbox> inbox, Connection* connection, bool chunked,
                 size_t buffer_bytes_max);

  bool write(std::string bytes) override;
  bool write(std::shared_ptr<const std::string> bytes) override;
  size_t buffered_bytes() const override;
  bool wait_below(size_t bytes, Millis timeout) override;
  void finish() override;
  void on_close(std::function<void()> fn) override;

  // ---- the loop's side ----
  // The next record to send; empty when nothing waits.
  void gather(std::string& record);
  void take_dirty();                 // before gathering: later writes announce themselves anew
  void requeue();                    // more to send, but others' turn first
  bool overflowed() const;           // too slow: to be cut
  bool drained() const;              // finished and everything gathered
  void closed();                     // wakes producers, runs on_close
  Connection* connection = nullptr;  // null once the connection went

 private:
  void announce(std::unique_lock<std::mutex>& lock);
  const std::shared_ptr<LoopInbox> inbox_;
  const bool chunked_;
  const size_t buffer_bytes_max_;
  mutable std::mutex mutex_;
  std::condition_variable progress_;
  OutQueue queue_;
  bool dirty_ = false, finished_ = false, end_sent_ = false, overflowed_ = false, closed_ = false;
  std::function<void()> on_close_;
};

}  // namespace orch::net
