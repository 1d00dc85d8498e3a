// A container that prints without end fills no disk: its log is cut into files, few of which stay.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "agent/pod/log_rotation.h"

using namespace orch;
using namespace orch::agent;
namespace fs = std::filesystem;

TEST_CASE("logs are rotated at their size, and the oldest go") {
  char name[] = "/tmp/orch-logs.XXXXXX";
  const std::string dir = ::mkdtemp(name), file = dir + "/0.log";
  const LogLimits limits{.file_bytes_max = 1000, .files_max = 3};
  WallTime now{Seconds{1'700'000'000}};
  CHECK_FALSE(rotate_log(file, limits, now));
  std::ofstream(file) << std::string(999, 'x');
  CHECK_FALSE(rotate_log(file, limits, now));
  for (char mark : {'a', 'b', 'c', 'd', 'e'}) {
    std::ofstream(file) << std::string(1000, mark);
    CHECK(rotate_log(file, limits, now));
    CHECK_FALSE(fs::exists(file));  // the runtime is told to open a new one
    now += Seconds{10};
  }
  const auto old = rotated_logs(file);
  REQUIRE(old.size() == 2);
  std::string newest;
  std::getline(std::ifstream(old[1]), newest);
  CHECK(newest == std::string(1000, 'e'));
  // Files of another run of the container are not its rotated ones.
  std::ofstream(dir + "/1.log.20240101-000000") << "x";
  CHECK(rotated_logs(file).size() == 2);
  fs::remove_all(dir);
}
