// Where audit events go: a file that is rotated, a webhook. Any thread; a sink owns a thread of its
// own where it writes in batches. An event that cannot be kept is counted and lost, never a reason
// for the server to stop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "orch/base/clock.h"
#include "orch/base/result.h"

namespace orch::server {

// Takes events, each a line of JSON without its end.
class AuditSink {
 public:
  virtual ~AuditSink() = default;
  // False: it is lost.
  virtual bool write(const std::vector<std::string>& events) = 0;
};

struct AuditFileOptions {
  std::string path;                 // "-" = standard output
  uint64_t bytes_max = 100u << 20;  // the file is renamed beyond; 0 = never
  int backups_max = 0;              // renamed files that are kept; 0 = all
  int days_max = 0;                 // and for how long; 0 = for ever
};
// The file is made with mode 600. Error: a sentence naming it.
Result<std::unique_ptr<AuditSink>, std::string> make_audit_file(const AuditFileOptions& options,
                                                                Clock& clock);

// Sends lists of events to the server of a kubeconfig file. Blocks while it sends; tries again, up
// to `attempts` times in all. Error: a sentence naming the file and field.
Result<std::unique_ptr<AuditSink>, std::string> make_audit_webhook(const std::string& kubeconfig,
                                                                   int attempts = 4);

struct AuditBatching {
  size_t buffered_max = 10000;
  size_t events_max = 400;  // at once
  Millis wait_max{1000};    // before fewer are written
};
// Writes what comes in the background; the rest when it is destroyed.
std::unique_ptr<AuditSink> make_audit_batches(std::unique_ptr<AuditSink> sink,
                                              const AuditBatching& batching);

}  // namespace orch::server
