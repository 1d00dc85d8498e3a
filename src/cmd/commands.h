// The verbs of the executable. Each takes its own argv (argv[0] = the verb) and returns the
// exit code: 0 fine, 1 failed, 2 bad usage.
#pragma once

namespace orch::cmd {

int server_command(int argc, char** argv);
int agent_command(int argc, char** argv);
int snapshot_command(int argc, char** argv);
int certificate_command(int argc, char** argv);
int token_command(int argc, char** argv);
int secrets_command(int argc, char** argv);
int simulate_command(int argc, char** argv);
int check_command(int argc, char** argv);
int killall_command(int argc, char** argv);
int uninstall_command(int argc, char** argv);

}  // namespace orch::cmd
