// Registry::watch: the store's events as API events, filtered by selectors.
#include <fmt/format.h>

#include "orch/base/log.h"
#include "server/registry/registry.h"
#include "server/registry/storage_form.h"

namespace orch::server {
namespace {

// Turns updates into ADDED or DELETED where they cross the selector.
class FilteringSink final : public storage::WatchSink {
 public:
  FilteringSink(const api::ResourceInfo& resource, ObjectFilter filter,
                std::shared_ptr<WatchReceiver> receiver)
      : resource_(resource), filter_(std::move(filter)), receiver_(std::move(receiver)) {}

  bool offer(const std::vector<const storage::Event*>& events, const storage::EventBatch&,
             storage::Revision through) override {
    for (const storage::Event* event : events) {
      if (!deliver(*event)) return false;
    }
    return receiver_->progress(through);
  }

  void closed(const storage::Error& why) override {
    if (why.code == storage::ErrorCode::kCompacted) {
      receiver_->ended(api::expired(fmt::format("too old resource version: {}", why.message)));
    } else {
      receiver_->ended(std::nullopt);
    }
  }

 private:
  bool passes(const Stored& object) const {
    return object && object.well_formed() && (filter_.empty() || filter_.matches(object));
  }

  Stored object_of(const storage::Bytes& value, storage::Revision revision) const {
    Stored object(value, revision);
    return object && object.well_formed() ? from_store(resource_, std::move(object)) : object;
  }

  bool deliver(const storage::Event& event) {
    const storage::Revision revision = event.kv.mod_revision;
    const Stored before = object_of(event.prev_kv.value, event.prev_kv.mod_revision);
    const bool was = passes(before);
    if (event.type == storage::Event::Type::kDelete) {
      return !was || receiver_->event(WatchEventType::kDeleted, before.at(revision));
    }
    const Stored now = object_of(event.kv.value, revision);
    const bool is = passes(now);
    if (is) return receiver_->event(was ? WatchEventType::kModified : WatchEventType::kAdded, now);
    return !was || receiver_->event(WatchEventType::kDeleted, before.at(revision));
  }

  const api::ResourceInfo& resource_;
  ObjectFilter filter_;
  std::shared_ptr<WatchReceiver> receiver_;
};

}  // namespace

api::ApiResult<std::unique_ptr<storage::WatchHandle>> Registry::watch(
    const api::ResourceInfo& resource, std::string_view ns, storage::Revision after,
    ObjectFilter filter, std::shared_ptr<WatchReceiver> receiver) {
  std::string start = prefix(resource, ns);
  std::string end = storage::prefix_end(start);
  const auto name = filter.name();
  if (name && !name->empty() && (!resource.namespaced || !ns.empty())) {
    start += *name;
    end.clear();
  }
  auto sink = std::make_shared<FilteringSink>(resource, std::move(filter), std::move(receiver));
  auto handle = store_.watch(start, end, after + 1, std::move(sink));
  if (!handle) {
    if (handle.error().code == storage::ErrorCode::kCompacted) {
      return Err(api::expired(fmt::format("too old resource version: {} ({})", after,
                                          handle.error().compact_revision)));
    }
    return Err(to_api_error(handle.error()));
  }
  return std::move(*handle);
}

}  // namespace orch::server
