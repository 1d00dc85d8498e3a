// Which flow a request belongs to: FlowSchemas and PriorityLevelConfigurations as rules
// (flowcontrol.apiserver.k8s.io/v1, KEP-1040). Pure and constant once made; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "orch/api/flowcontrolv1.h"  // generated
#include "server/api/call.h"

namespace orch::server {

// A priority level, as numbers.
struct FlowLevel {
  std::string name, uid;
  bool exempt = false;
  int32_t shares = 0;
  int32_t lendable_percent = 0;
  int32_t borrowing_percent = -1;  // -1: no limit
  // Of limited levels: 0 queues = refuse at once.
  int32_t queues = 0, hand_size = 0, queue_length = 0;
};

struct FlowClass {
  const std::string* schema = nullptr;  // its name, and its uid
  const std::string* schema_uid = nullptr;
  size_t rule = 0;    // index into FlowRules::schemas()
  size_t level = 0;   // index into FlowRules::levels()
  std::string flow;   // the distinguisher: a user or a namespace, or ""
  uint64_t hash = 0;  // of schema and distinguisher
};

class FlowRules {
 public:
  // What is mandatory is there even when its object is not. A schema whose level does not exist is
  // left out.
  FlowRules(const std::vector<api::flowcontrolv1::FlowSchema>& schemas,
            const std::vector<api::flowcontrolv1::PriorityLevelConfiguration>& levels);
  // By precedence, then by name; "catch-all" takes the rest.
  FlowClass classify(const RequestInfo& info, const UserInfo& user) const;
  const std::vector<FlowLevel>& levels() const { return levels_; }
  struct Schema {
    api::flowcontrolv1::FlowSchema object;
    size_t level;
  };
  const std::vector<Schema>& schemas() const { return schemas_; }

 private:
  std::vector<FlowLevel> levels_;
  std::vector<Schema> schemas_;
};

uint64_t flow_hash(std::string_view schema, std::string_view distinguisher);

}  // namespace orch::server
