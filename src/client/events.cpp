#include "orch/client/events.h"

#include <fmt/format.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "client/event_correlator.h"
#include "orch/api/corev1.h"
#include "orch/base/json_scan.h"
#include "orch/base/log.h"

namespace orch::client {
namespace {

constexpr size_t kQueueMax = 1000;
constexpr int kTriesMax = 12;
constexpr Micros kRetryDelay = Seconds{10};
constexpr size_t kMessageBytesMax = 1024;
constexpr size_t kNameBytesMax = 253;

// Sends on its own strand, in order. Full queue, refused and unsendable events are dropped: Events
// are best effort by contract.
class QueuedRecorder : public std::enable_shared_from_this<QueuedRecorder> {
 public:
  QueuedRecorder(Env& env, Transport& transport, std::string component, std::string host)
      : env_(env),
        client_(transport),
        component_(std::move(component)),
        host_(std::move(host)),
        strand_(env.executor.make_strand("events/" + component_)) {}

  void record(const EventSubject& subject, std::string_view type, std::string_view reason,
              std::string_view message) {
    PendingEvent event{subject,      std::string(type), std::string(reason),
                       cut(message), env_.clock.now(),  ++serial_};
    std::lock_guard lock(mutex_);
    if (stopped_) return;
    if (queue_.size() >= kQueueMax) {
      if (!overflowed_) log::warn("events", "{}: queue full, events are dropped", component_);
      overflowed_ = true;
      return;
    }
    queue_.push_back(std::move(event));
    if (!scheduled_) schedule(Micros{0});
  }

  // Waits for a request under way: the transport may be gone afterwards.
  void stop() {
    std::unique_lock lock(mutex_);
    stopped_ = true;
    queue_.clear();
    sent_.wait(lock, [&] { return !sending_; });
  }

 private:
  static std::string cut(std::string_view message) {
    if (message.size() <= kMessageBytesMax) return std::string(message);
    size_t end = kMessageBytesMax;
    while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0) == 0x80) --end;
    return std::string(message.substr(0, end));
  }

  // mutex_ held.
  void schedule(Micros delay) {
    scheduled_ = true;
    auto task = [weak = weak_from_this()] {
      if (auto self = weak.lock()) self->send_next();
    };
    if (delay > Micros{0}) {
      strand_->post_after(delay, std::move(task));
    } else {
      strand_->post(std::move(task));
    }
  }

  // Strand only. One event a task, so that a burst does not hold a pool thread.
  void send_next() {
    PendingEvent event;
    {
      std::lock_guard lock(mutex_);
      scheduled_ = false;
      if (stopped_ || queue_.empty()) return;
      event = queue_.front();
      sending_ = true;
    }
    if (!decision_) decision_ = correlator_.decide(event);
    const bool again = !decision_->drop && !send(event, *decision_) && ++tries_ < kTriesMax;
    std::lock_guard lock(mutex_);
    sending_ = false;
    if (stopped_) {
      sent_.notify_all();
      return;
    }
    if (again) {
      schedule(kRetryDelay);
      return;
    }
    tries_ = 0;
    decision_.reset();
    if (!queue_.empty()) queue_.pop_front();
    if (queue_.empty()) {
      overflowed_ = false;
    } else {
      schedule(Micros{0});
    }
  }

  static std::string namespace_for(const PendingEvent& event) {
    return event.subject.namespace_.empty() ? "default" : event.subject.namespace_;
  }

  // False = try again later.
  bool send(const PendingEvent& event, EventCorrelator::Decision& decision) {
    if (decision.known) {
      EventSeries series = *decision.known;
      ++series.count;
      auto patched = client_.patch<api::corev1::Event>(
          namespace_for(event), series.name, api::PatchType::kStrategic,
          fmt::format(R"({{"count":{},"lastTimestamp":"{}","message":{}}})", series.count,
                      api::Time(event.at).str(), json_quote(decision.message)));
      if (patched) {
        correlator_.recorded(decision.key, std::move(series));
        return true;
      }
      if (patched.error().code != 404) return give_up(patched.error());
      correlator_.forget(decision.key);  // it expired: begin a new series
      decision.known.reset();
    }
    const api::corev1::Event object = make(event, decision.message);
    auto created = client_.create(object);
    if (!created) return give_up(created.error());
    correlator_.recorded(decision.key, {object.metadata.name, event.at, 1});
    return true;
  }

  // Refused events are dropped, unreachable servers are tried again.
  bool give_up(const api::Error& error) {
    if (error.code >= 500 || error.code == 429) return false;
    log::debug("events", "{}: event refused: {}", component_, error.message);
    return true;
  }

  api::corev1::Event make(const PendingEvent& event, const std::string& message) const {
    api::corev1::Event out;
    const EventSubject& subject = event.subject;
    const auto nanos =
        static_cast<uint64_t>(event.at.time_since_epoch().count()) * 1000 + event.serial % 1000;
    const std::string suffix = fmt::format(".{:x}", nanos);
    out.metadata.name = subject.name.substr(0, kNameBytesMax - suffix.size()) + suffix;
    out.metadata.namespace_ = namespace_for(event);
    out.involvedObject.kind = subject.kind;
    out.involvedObject.namespace_ = subject.namespace_;
    out.involvedObject.name = subject.name;
    out.involvedObject.uid = subject.uid;
    out.involvedObject.apiVersion = subject.api_version;
    out.involvedObject.resourceVersion = subject.resource_version;
    out.involvedObject.fieldPath = subject.field_path;
    out.type_ = event.type;
    out.reason = event.reason;
    out.message = message;
    out.source.component = subject.component.empty() ? component_ : subject.component;
    out.source.host = host_;
    out.reportingComponent = out.source.component;
    out.reportingInstance = host_;
    out.firstTimestamp = event.at;
    out.lastTimestamp = event.at;
    out.count = 1;
    return out;
  }

  Env& env_;
  const Client client_;
  const std::string component_, host_;
  const std::shared_ptr<Strand> strand_;
  std::atomic<uint64_t> serial_{0};

  std::mutex mutex_;
  std::condition_variable sent_;
  bool stopped_ = false, scheduled_ = false, overflowed_ = false, sending_ = false;
  std::deque<PendingEvent> queue_;

  // Strand only.
  EventCorrelator correlator_;
  std::optional<EventCorrelator::Decision> decision_;  // of the queue's head
  int tries_ = 0;
};

class RecorderHandle final : public EventRecorder {
 public:
  RecorderHandle(Env& env, Transport& transport, std::string component, std::string host)
      : queue_(std::make_shared<QueuedRecorder>(env, transport, std::move(component),
                                                std::move(host))) {}
  ~RecorderHandle() override { queue_->stop(); }
  void record(const EventSubject& subject, std::string_view type, std::string_view reason,
              std::string_view message) override {
    queue_->record(subject, type, reason, message);
  }

 private:
  std::shared_ptr<QueuedRecorder> queue_;
};

}  // namespace

EventSubject subject_of(const api::Object& object) {
  const api::TypeInfo& type = object.type();
  EventSubject out;
  out.api_version = type.group.empty() ? std::string(type.version)
                                       : std::string(type.group) + "/" + std::string(type.version);
  out.kind = type.kind;
  out.namespace_ = object.metadata.namespace_;
  out.name = object.metadata.name;
  out.uid = object.metadata.uid;
  out.resource_version = object.metadata.resourceVersion;
  return out;
}

std::unique_ptr<EventRecorder> make_event_recorder(Env& env, Transport& transport,
                                                   std::string component, std::string host) {
  return std::make_unique<RecorderHandle>(env, transport, std::move(component), std::move(host));
}

}  // namespace orch::client
