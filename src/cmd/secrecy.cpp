#include "cmd/secrecy.h"

#include <sys/prctl.h>

#include <cstring>
#include <string_view>

namespace orch::cmd {
namespace {

constexpr std::string_view kSecretFlags[] = {"--token", "--agent-token"};

void overwrite(char* text) { memset(text, '*', strlen(text)); }

}  // namespace

void keep_secrets(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    for (const std::string_view flag : kSecretFlags) {
      if (argument == flag && i + 1 < argc) overwrite(argv[i + 1]);
      if (argument.starts_with(flag) && argument.substr(flag.size()).starts_with('=')) {
        overwrite(argv[i] + flag.size() + 1);
      }
    }
  }
  prctl(PR_SET_DUMPABLE, 0);
}

}  // namespace orch::cmd
