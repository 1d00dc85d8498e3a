// An image in memory of a store that is elsewhere: whoever follows that store's watch feeds it, and
// ranges and watches are served from it, at the revisions of that store. One thread at a time
// feeds; everything else: any thread.
#pragma once

#include <memory>
#include <vector>

#include "orch/storage/kv_store.h"

namespace orch::storage {

class Replica {
 public:
  static std::shared_ptr<Replica> make(size_t history_events_max = 200'000);
  virtual ~Replica() = default;

  // -- Feeding. First the keys as they are at one revision, in any order, then ready().
  virtual void load(std::vector<KeyValue> kvs) = 0;
  virtual void ready(Revision revision) = 0;
  // Whole revisions, ascending, none left out.
  virtual void apply(const std::vector<Event>& events) = 0;
  // History before `revision` may be dropped.
  virtual void forget(Revision revision) = 0;
  // Closes all watches; those who come later are answered `why` too.
  virtual void stop(const Error& why) = 0;

  // -- Reading, of what was fed until now. History begins behind ready()'s revision.
  virtual Revision revision() const = 0;
  virtual Revision compact_revision() const = 0;
  virtual int64_t size_bytes() const = 0;
  virtual StoreResult<RangeResponse> range(const RangeRequest& request) = 0;
  virtual StoreResult<std::unique_ptr<WatchHandle>> watch(const std::string& key,
                                                          const std::string& range_end,
                                                          Revision start,
                                                          std::shared_ptr<WatchSink> sink) = 0;
  // False: not fed as far within `timeout`, or stopped.
  virtual bool wait_for(Revision revision, Millis timeout) = 0;
};

}  // namespace orch::storage
