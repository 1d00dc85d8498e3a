#include "server/cloud/cloud_controllers.h"

namespace orch::server {

std::vector<client::ControllerSpec> cloud_controllers(CloudProvider& provider) {
  std::vector<client::ControllerSpec> specs;
  specs.push_back(cloud_node_controller(provider));
  specs.push_back(cloud_node_lifecycle_controller(provider));
  specs.push_back(node_route_controller(provider));
  specs.push_back(service_controller(provider));
  return specs;
}

}  // namespace orch::server
