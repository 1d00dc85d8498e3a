#include "server/flow_watcher.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/base/log.h"
#include "server/bootstrap_objects.h"

namespace orch::server {

using api::flowcontrolv1::FlowSchema;
using api::flowcontrolv1::PriorityLevelConfiguration;

namespace {

constexpr Millis kSettle{100};  // changes often come together
constexpr Seconds kUpkeep{60};  // as upstream

template <class T>
std::vector<T> objects(const client::Lister<T>& lister) {
  std::vector<T> out;
  for (const auto& object : lister.list()) out.push_back(*object);
  return out;
}

}  // namespace

bool set_dangling(FlowSchema& schema, bool dangling, WallTime now) {
  const std::string& level = schema.spec.priorityLevelConfiguration.name;
  const std::string status = dangling ? "True" : "False";
  auto& conditions = schema.status.conditions;
  auto it = std::find_if(conditions.begin(), conditions.end(),
                         [](const auto& c) { return c.type == "Dangling"; });
  if (it != conditions.end() && it->status == status) return false;
  if (it == conditions.end()) it = conditions.emplace(conditions.end());
  it->type = "Dangling";
  it->status = status;
  it->lastTransitionTime = api::Time(now);
  it->reason = dangling ? "NotFound" : "Found";
  it->message = fmt::format(
      "This FlowSchema references the PriorityLevelConfiguration object named \"{}\" {}", level,
      dangling ? "but there is no such object" : "and it exists");
  return true;
}

struct FlowWatcher::Impl : std::enable_shared_from_this<FlowWatcher::Impl> {
  Impl(Env& e, client::InformerSet& informers, const client::Client& c, FlowControl& f)
      : env(e),
        client(c),
        flow(f),
        schemas(informers.lister<FlowSchema>()),
        levels(informers.lister<PriorityLevelConfiguration>()),
        strand(e.executor.make_strand("flow-watcher")) {}

  void changed() {
    std::lock_guard lock(mutex);
    if (due || stopped) return;
    due = true;
    strand->post_after(kSettle, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->apply();
    });
  }

  // What somebody took away or changed of the default objects comes back.
  void keep_up() {
    strand->post_after(kUpkeep, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self) return;
      std::lock_guard at_work(self->work);
      if (self->is_stopped()) return;
      if (const auto done = ensure_flow_control(self->client); !done) {
        log::warn("flow-control", "keeping up the default objects: {}", done.error());
      }
      self->keep_up();
    });
  }

  bool is_stopped() {
    std::lock_guard lock(mutex);
    return stopped;
  }

  void apply() {
    std::lock_guard at_work(work);
    {
      std::lock_guard lock(mutex);
      due = false;
      if (stopped) return;
    }
    const auto all_levels = objects(levels);
    auto all_schemas = objects(schemas);
    flow.configure(all_schemas, all_levels);
    for (auto& schema : all_schemas) {
      const std::string& wanted = schema.spec.priorityLevelConfiguration.name;
      const bool found = std::any_of(all_levels.begin(), all_levels.end(), [&](const auto& level) {
        return level.metadata.name == wanted;
      });
      if (!set_dangling(schema, !found, env.clock.now())) continue;
      // A conflict comes back as a change.
      if (auto written = client.update_status(schema);
          !written && !written.error().is("Conflict") && !written.error().is("NotFound")) {
        log::warn("flow-control", "status of FlowSchema {}: {}", schema.metadata.name,
                  written.error().message);
      }
    }
  }

  Env& env;
  const client::Client& client;
  FlowControl& flow;
  client::Lister<FlowSchema> schemas;
  client::Lister<PriorityLevelConfiguration> levels;
  std::shared_ptr<Strand> strand;
  std::mutex work;  // held by what runs on the strand
  std::mutex mutex;
  bool due = false, stopped = false;
};

FlowWatcher::FlowWatcher(Env& env, client::InformerSet& informers, const client::Client& client,
                         FlowControl& flow)
    : impl_(std::make_shared<Impl>(env, informers, client, flow)) {
  const auto handler = [weak = std::weak_ptr(impl_)](const api::ObjectPtr& old,
                                                     const api::ObjectPtr& now) {
    // Its own writes of a status change no spec.
    if (old && now && old->metadata.generation == now->metadata.generation &&
        old->metadata.uid == now->metadata.uid) {
      return;
    }
    if (const auto impl = weak.lock()) impl->changed();
  };
  informers.get<FlowSchema>().add_handler(handler);
  informers.get<PriorityLevelConfiguration>().add_handler(handler);
  impl_->keep_up();
}

FlowWatcher::~FlowWatcher() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopped = true;
  }
  std::lock_guard done(impl_->work);
}

}  // namespace orch::server
