// core/v1 ComponentStatus: answered by the server, not stored; read only.
#include "api/kinds/common.h"

namespace orch::api {
namespace {

using corev1::ComponentStatus;

std::vector<Cell> row(const Object& object, WallTime) {
  std::string status = "Unknown", message, error;
  for (const auto& c : static_cast<const ComponentStatus&>(object).conditions) {
    if (c.type != "Healthy") continue;
    status = c.status == "True" ? "Healthy" : "Unhealthy";
    message = c.message;
    error = c.error;
  }
  return {name_cell(object), text(status), text(message), text(error)};
}

}  // namespace

ResourceInfo component_statuses_resource() {
  auto info = stored_resource<ComponentStatus>("componentstatuses", "componentstatus", false);
  info.verbs = {"get", "list"};
  info.stored = false;
  info.short_names = {"cs"};
  info.columns = {name_column(), column("Status", "string", "Whether the component is healthy."),
                  column("Message", "string", "What the component says."),
                  column("Error", "string", "What is wrong with it.")};
  info.row = row;
  return info;
}

}  // namespace orch::api
