// Keeps secrets out of what others see of a process: its arguments and its core dumps.
#pragma once

namespace orch::cmd {

// After the arguments were parsed: overwrites the values of flags that are secrets where ps(1) and
// /proc/PID/cmdline show them, and forbids core dumps and tracing by others than root. Children are
// as they would be without.
void keep_secrets(int argc, char** argv);

}  // namespace orch::cmd
