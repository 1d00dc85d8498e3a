// Faults: of the network, of components, of nodes, of clocks and of history.
#pragma once

#include <map>
#include <string>

namespace orch::sim {

class World;

class Chaos {
 public:
  explicit Chaos(World& world) : world_(world) {}
  void step();
  // All is mended.
  void end();

 private:
  enum class Harm { kOff, kPartitioned, kSlow };
  void weather();
  void harm_node();
  void restore(const std::string& node);
  World& world_;
  std::map<std::string, Harm> harmed_;
};

}  // namespace orch::sim
