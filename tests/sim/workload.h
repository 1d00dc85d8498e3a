// What users do to the simulated cluster: random operations on workloads and nodes.
#pragma once

#include <string>
#include <vector>

namespace orch::sim {

class World;

class Workload {
 public:
  explicit Workload(World& world) : world_(world) {}
  // What is there from the beginning: priority classes, a Service.
  void begin();
  void step();
  // Brings the cluster to a state that can come to rest and fits on its nodes.
  void end();

 private:
  void deployment();
  void stateful_set();
  void daemon_set();
  void job();
  void cron_job();
  void budget();
  void pods();
  void node();
  void name_space();
  void say(const std::string& verb, const std::string& resource, const std::string& name,
           const std::string& body = "", const std::string& sub = "");
  std::string propagation();
  std::vector<std::string> names(const std::string& resource, const std::string& ns = "default");
  World& world_;
  int serial_ = 0;
};

}  // namespace orch::sim
