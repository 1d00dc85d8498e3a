// One run of the simulated cluster under faults: a seed decides everything.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/control_plane.h"
#include "sim/hollow_nodes.h"
#include "sim/invariants.h"
#include "sim/journal.h"

namespace orch::sim {

struct WorldOptions {
  uint64_t seed = 1;
  int nodes = 6;
  int steps = 60;      // random operations and faults
  std::string mutant;  // "" = the product as it is
  bool echo = false;   // the journal on stdout as it grows
};

struct Outcome {
  std::optional<Violation> violation;
  uint64_t hash = 0, entries = 0, tasks = 0;
  Micros virtual_time{0};
  std::vector<std::string> tail;
};

class World {
 public:
  explicit World(const WorldOptions& options);
  ~World();
  Outcome run();

  // For workloads and faults. `body` is JSON; the answer's body, or why not.
  api::ApiResult<std::string> send(const std::string& verb, const std::string& resource,
                                   const std::string& ns, const std::string& name,
                                   const std::string& body = "", const std::string& sub = "");
  uint64_t choose(uint64_t below) { return random_below(*chaos_random, below); }
  bool violated() const { return invariants.violation().has_value(); }
  void violate(std::string invariant, std::string what);
  void let_pass(Micros time);

  const WorldOptions options;
  SimClock clock;
  Journal journal{clock, options.echo};
  // Streams of their own, so that a change in one place shifts no other.
  std::unique_ptr<Random> product_random, order_random, wire_random, node_random, chaos_random,
      mutant_random;
  SimExecutor executor;
  Env env;
  Wire wire;
  Invariants invariants;
  std::unique_ptr<ControlPlane> plane;
  std::unique_ptr<Wire::Line> node_line, user_line;
  std::unique_ptr<client::InformerSet> node_cache;
  std::unique_ptr<HollowNodes> nodes;

 private:
  struct History;
  struct Writer {
    storage::Revision from;  // revisions from here on ...
    std::string component, verb;
  };
  const Writer* writer_of(storage::Revision revision) const;
  void committed(const storage::Event& event);
  void watch_history();
  Result<Unit, std::string> build();
  void add_nodes();
  void calm_down();
  void check_convergence();
  void check_quiet();

  std::vector<Writer> writers_;
  std::shared_ptr<History> history_;
  std::unique_ptr<storage::WatchHandle> history_watch_;
  bool counting_writes_ = false;
  std::vector<std::string> unwanted_writes_;
  std::optional<Violation> other_violation_;
};

}  // namespace orch::sim
