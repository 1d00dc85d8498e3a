// The texts of `describe`, tabs between cells (see printers/elastic.h). Pure.
#pragma once

#include <string>
#include <vector>

#include "orch/api/json_value.h"
#include "orch/base/clock.h"

namespace orch::ctl {

struct Described {
  api::JsonValue object;
  std::vector<api::JsonValue> events;  // of the object
  std::vector<api::JsonValue> pods;    // nodes: what runs there; workloads: theirs
  api::JsonValue lease;                // nodes: its heartbeat, or why it is not known
  std::string lease_failure;
  std::vector<api::JsonValue> endpoints;             // services: EndpointSlices
  std::vector<api::JsonValue> replica_sets;          // deployments: theirs
  std::vector<api::JsonValue> quotas, limit_ranges;  // namespaces: what limits them
  WallTime now;
};

std::string describe_pod(const Described& what);
std::string describe_node(const Described& what);
std::string describe_deployment(const Described& what);
std::string describe_service(const Described& what);
std::string describe_config_map(const Described& what);
std::string describe_secret(const Described& what);  // sizes, not values
std::string describe_namespace(const Described& what);
std::string describe_quota(const Described& what);
std::string describe_limit_range(const Described& what);
std::string describe_any(const Described& what);
// The text for a kind; describe_any for those without one of their own.
std::string describe(const Described& what, std::string_view group, std::string_view kind);
// describe_workloads.cpp, describe_more.cpp: kinds beyond the above.
using DescribeFunction = std::string (*)(const Described&);
DescribeFunction find_workload_text(std::string_view group, std::string_view kind);
DescribeFunction find_other_text(std::string_view group, std::string_view kind);

// Parts that several share, `indent` spaces before each line.
std::string describe_head(const api::JsonValue& object, bool namespaced);  // name, namespace
std::string describe_labels(const api::JsonValue& object);                 // and annotations
std::string describe_selector(const api::JsonValue& selector);
std::string describe_controller(const api::JsonValue& object);
std::string describe_tolerations(const api::JsonValue& list);
std::string describe_template(const api::JsonValue& pod_template);
std::string describe_events(const Described& what);
std::string describe_map(const std::string& title, const api::JsonValue& map,
                         const std::string& separator);
std::string describe_containers(const std::string& title, const api::JsonValue& containers,
                                const api::JsonValue& statuses, size_t indent);
std::string describe_volumes(const api::JsonValue& volumes, size_t indent);
std::string describe_volume_source(const std::string& kind, const api::JsonValue& source,
                                   const std::string& pad);
// An RFC 3339 time as "Mon, 02 Jan 2006 15:04:05 +0000".
std::string time_text(const api::JsonValue& value);
// "5m" since an RFC 3339 time; "<unknown>" if it is none.
std::string age_of(const std::string& time, WallTime now);

}  // namespace orch::ctl
