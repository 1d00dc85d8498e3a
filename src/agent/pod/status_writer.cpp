#include "agent/pod/status_writer.h"

#include <algorithm>
#include <array>

#include "orch/base/log.h"
#include "orch/base/strings.h"

namespace orch::agent {
namespace {

constexpr std::array<std::string_view, 5> kOwnConditions = {
    "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"};
constexpr Millis kRetryMin{200}, kRetryMax{10'000};

int64_t version_of(const corev1::Pod& pod) {
  return parse_int(pod.metadata.resourceVersion).value_or(0);
}

// Our status, with the conditions that others set on the server's copy.
corev1::PodStatus merged(const corev1::PodStatus& ours, const corev1::PodStatus& server) {
  corev1::PodStatus out = ours;
  auto own = [](const std::string& type) {
    return std::find(kOwnConditions.begin(), kOwnConditions.end(), type) != kOwnConditions.end();
  };
  // Others say too why a pod is disrupted; what the node says is newer.
  const auto by_node = [](const corev1::PodCondition& c) {
    return c.type == "DisruptionTarget" && c.reason == "TerminationByKubelet";
  };
  std::erase_if(out.conditions, [&](const auto& c) { return !own(c.type) && !by_node(c); });
  const bool disrupted = std::any_of(out.conditions.begin(), out.conditions.end(), by_node);
  for (const auto& condition : server.conditions) {
    if (own(condition.type) || (disrupted && condition.type == "DisruptionTarget")) continue;
    out.conditions.push_back(condition);
  }
  // Nothing of ours changed these.
  out.nominatedNodeName = server.nominatedNodeName;
  out.resourceClaimStatuses = server.resourceClaimStatuses;
  return out;
}

}  // namespace

struct StatusWriter::State : std::enable_shared_from_this<State> {
  struct Item {
    std::shared_ptr<const corev1::Pod> wanted;  // null = nothing to write
    std::shared_ptr<const corev1::Pod> server;  // newest copy seen
    bool remove = false, busy = false;
    Millis retry{0};
  };

  State(Env& e, client::Transport& transport, BlockingPool& p)
      : env(e), client(transport), pool(p), strand(e.executor.make_strand("pod-status")) {}

  // Under the lock.
  void kick(const std::string& uid, Item& item) {
    if (item.busy || stopped || (!item.wanted && !item.remove)) return;
    item.busy = true;
    pool.post([self = shared_from_this(), uid] { self->work(uid); });
  }

  void work(const std::string& uid) {
    for (;;) {
      std::shared_ptr<const corev1::Pod> wanted, server;
      bool remove = false;
      {
        std::lock_guard lock(mutex);
        auto it = items.find(uid);
        if (it == items.end()) return;
        Item& item = it->second;
        if (stopped || (!item.wanted && !item.remove)) {
          item.busy = false;
          return;
        }
        wanted = std::exchange(item.wanted, nullptr);
        server = item.server;
        remove = item.remove;
      }
      auto done = write(wanted, server, remove && !wanted);
      std::lock_guard lock(mutex);
      auto it = items.find(uid);
      if (it == items.end()) return;
      Item& item = it->second;
      if (done) {
        item.retry = Millis{0};
        if (*done && (!item.server || version_of(**done) >= version_of(*item.server))) {
          item.server = *done;
        }
        if (remove && !wanted) item.remove = false;
        continue;
      }
      if (done.error().is("NotFound")) {
        items.erase(it);
        return;
      }
      if (!item.wanted) item.wanted = wanted;
      retry(uid, item, done.error());
      return;
    }
  }

  // Under the lock. Tries again later; a conflict at once.
  void retry(const std::string& uid, Item& item, const api::Error& error) {
    item.retry = std::clamp(item.retry * 2, kRetryMin, kRetryMax);
    if (item.retry == kRetryMin) {
      log::debug("agent", "status of pod {}: {}", uid, error.message);
    } else if (item.retry >= kRetryMax) {
      log::warn("agent", "status of pod {}: {}", uid, error.message);
    }
    strand->post_after(item.retry, [weak = weak_from_this(), uid] {
      auto self = weak.lock();
      if (!self) return;
      std::lock_guard lock(self->mutex);
      auto it = self->items.find(uid);
      if (it == self->items.end()) return;
      it->second.busy = false;
      self->kick(uid, it->second);
    });
  }

  // The server's copy afterwards (null when it did not change, or is deleted).
  api::ApiResult<std::shared_ptr<const corev1::Pod>> write(
      const std::shared_ptr<const corev1::Pod>& wanted, std::shared_ptr<const corev1::Pod> server,
      bool remove) {
    if (remove && server) return remove_pod(*server);
    for (int round = 0;; ++round) {
      if (!server || round > 0) {
        auto fresh = client.get<corev1::Pod>(wanted->metadata.namespace_, wanted->metadata.name);
        // A node may not see Pods of other nodes: one of this name that is there now is not ours.
        if (!fresh && fresh.error().is("Forbidden")) {
          return Err(api::not_found({"", "pods"}, wanted->metadata.name));
        }
        if (!fresh) return Err(std::move(fresh).error());
        server = std::make_shared<const corev1::Pod>(std::move(*fresh));
      }
      if (server->metadata.uid != wanted->metadata.uid) {
        return Err(api::not_found({"", "pods"}, wanted->metadata.name));
      }
      corev1::Pod next = *server;
      next.status = merged(wanted->status, server->status);
      if (api::equal(next.status, server->status)) return server;
      auto written = client.update_status(next);
      if (written) return std::make_shared<const corev1::Pod>(std::move(*written));
      if (!written.error().is("Conflict") || round == 5) return Err(std::move(written).error());
    }
  }

  api::ApiResult<std::shared_ptr<const corev1::Pod>> remove_pod(const corev1::Pod& pod) {
    client::DeleteOptions options;
    options.grace_period_seconds = 0;
    options.uid = pod.metadata.uid;
    auto result = client.remove<corev1::Pod>(pod.metadata.namespace_, pod.metadata.name, options);
    // Another pod of that name (uid conflict): ours is gone.
    if (!result && !result.error().is("NotFound") && !result.error().is("Conflict")) {
      return Err(std::move(result).error());
    }
    return std::shared_ptr<const corev1::Pod>();
  }

  Env& env;
  client::Client client;
  BlockingPool& pool;
  std::shared_ptr<Strand> strand;
  std::mutex mutex;
  bool stopped = false;
  std::map<std::string, Item> items;  // by uid
};

StatusWriter::StatusWriter(Env& env, client::Transport& transport, BlockingPool& pool)
    : state_(std::make_shared<State>(env, transport, pool)) {}

void StatusWriter::stop() {
  std::lock_guard lock(state_->mutex);
  state_->stopped = true;
}

void StatusWriter::submit(std::shared_ptr<const corev1::Pod> pod, bool remove) {
  std::lock_guard lock(state_->mutex);
  auto& item = state_->items[pod->metadata.uid];
  item.wanted = std::move(pod);
  item.remove |= remove;
  state_->kick(item.wanted->metadata.uid, item);
}

void StatusWriter::forget(const std::string& uid) {
  std::lock_guard lock(state_->mutex);
  state_->items.erase(uid);
}

void StatusWriter::seen(const std::shared_ptr<const corev1::Pod>& pod) {
  std::lock_guard lock(state_->mutex);
  auto& item = state_->items[pod->metadata.uid];
  if (!item.server || version_of(*pod) >= version_of(*item.server)) item.server = pod;
}

}  // namespace orch::agent
