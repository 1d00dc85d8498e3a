#include "server/audit/sink.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "orch/base/log.h"
#include "orch/base/metrics.h"

namespace orch::server {
namespace {

class Batches final : public AuditSink {
 public:
  Batches(std::unique_ptr<AuditSink> sink, const AuditBatching& batching)
      : sink_(std::move(sink)), batching_(batching), thread_([this] { run(); }) {}
  ~Batches() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

  bool write(const std::vector<std::string>& events) override {
    std::lock_guard lock(mutex_);
    bool kept = true;
    for (const auto& event : events) {
      if (waiting_.size() >= batching_.buffered_max) {
        kept = false;
        break;
      }
      waiting_.push_back(event);
    }
    if (waiting_.size() >= batching_.events_max || waiting_.size() == events.size()) {
      wake_.notify_one();
    }
    return kept;
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      wake_.wait_for(lock, batching_.wait_max,
                     [this] { return stopping_ || waiting_.size() >= batching_.events_max; });
      std::vector<std::string> batch;
      while (!waiting_.empty() && batch.size() < batching_.events_max) {
        batch.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
      }
      lock.unlock();
      if (!sink_->write(batch)) {
        metrics::counter("apiserver_audit_error_total", "Audit events that were lost.",
                         "plugin=\"buffered\"")
            .add(static_cast<double>(batch.size()));
      }
      lock.lock();
    }
  }

  const std::unique_ptr<AuditSink> sink_;
  const AuditBatching batching_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::string> waiting_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<AuditSink> make_audit_batches(std::unique_ptr<AuditSink> sink,
                                              const AuditBatching& batching) {
  return std::make_unique<Batches>(std::move(sink), batching);
}

}  // namespace orch::server
