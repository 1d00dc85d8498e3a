// Child processes and foreign processes by pid, without shells. Blocking calls; any thread.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "orch/base/clock.h"
#include "orch/base/result.h"

namespace orch::agent {

// The full path of a program, looked up in PATH unless it has a slash; nullopt = not there.
std::optional<std::string> find_program(const std::string& name);

struct SpawnOptions {
  std::vector<std::string> argv;  // argv[0] is a full path
  std::string output_file;        // stdout and stderr are appended here; "" = /dev/null
  bool new_session = false;       // outlives our terminal and our process group
  std::optional<int> oom_score_adj;
};
Result<pid_t, std::string> spawn(const SpawnOptions& options);

// Runs to its end; Error: exit code or signal with the end of its output, or "timed out".
Result<std::string, std::string> run_program(const std::vector<std::string>& argv, Millis timeout);

// A pidfd: becomes readable when the process ends. -1 = no such process.
int open_process(pid_t pid);
// True if the process ended (or is gone) within the time. Reaps it if it is our child.
bool wait_process(int pidfd, pid_t pid, Millis timeout);
// First word of /proc/PID/cmdline and all words.
std::vector<std::string> command_line_of(pid_t pid);

// "PID STARTTIME": names a process for good, also when its pid is used again. "" = no such process.
std::string process_identity(pid_t pid);

}  // namespace orch::agent
