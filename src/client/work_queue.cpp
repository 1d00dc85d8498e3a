#include <deque>
#include <set>

#include "orch/base/metrics.h"
#include "orch/client/reconciler.h"

namespace orch::client {

struct WorkQueue::Impl {
  explicit Impl(const std::string& name)
      : depth(metrics::gauge("workqueue_depth", "Current depth of workqueue",
                             "name=\"" + name + "\"")),
        adds(metrics::counter("workqueue_adds_total", "Total number of adds handled by workqueue",
                              "name=\"" + name + "\"")) {}
  metrics::Gauge& depth;
  metrics::Counter& adds;
  mutable std::mutex mutex;
  std::deque<api::ObjectKey> order;     // waiting, first in first out
  std::set<api::ObjectKey> dirty;       // waiting, or to run again when done
  std::set<api::ObjectKey> processing;  // taken and not done
};

WorkQueue::WorkQueue(std::string name) : impl_(std::make_unique<Impl>(name)) {}
WorkQueue::~WorkQueue() { impl_->depth.add(-static_cast<double>(impl_->order.size())); }

void WorkQueue::add(const api::ObjectKey& key) {
  std::lock_guard lock(impl_->mutex);
  if (!impl_->dirty.insert(key).second) return;
  impl_->adds.add();
  if (impl_->processing.contains(key)) return;
  impl_->order.push_back(key);
  impl_->depth.add(1);
}

std::optional<api::ObjectKey> WorkQueue::take() {
  std::lock_guard lock(impl_->mutex);
  if (impl_->order.empty()) return std::nullopt;
  api::ObjectKey key = std::move(impl_->order.front());
  impl_->order.pop_front();
  impl_->depth.add(-1);
  impl_->dirty.erase(key);
  impl_->processing.insert(key);
  return key;
}

void WorkQueue::done(const api::ObjectKey& key) {
  std::lock_guard lock(impl_->mutex);
  impl_->processing.erase(key);
  if (!impl_->dirty.contains(key)) return;
  impl_->order.push_back(key);
  impl_->depth.add(1);
}

size_t WorkQueue::size() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->order.size();
}

}  // namespace orch::client
