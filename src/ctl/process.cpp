#include "ctl/process.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

extern char** environ;

namespace orch::ctl {

Outcome<int> run_program(const std::vector<std::string>& argv) {
  std::vector<char*> words;
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, words[0], nullptr, nullptr, words.data(), environ);
  if (failed != 0) {
    return Err(error(fmt::format("unable to run \"{}\": {}", argv[0], std::strerror(failed))));
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return Err(error(std::strerror(errno)));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Outcome<TempFolder> TempFolder::make(const std::string& prefix) {
  const char* given = std::getenv("TMPDIR");
  std::string path =
      fmt::format("{}/{}XXXXXX", given != nullptr && *given != 0 ? given : "/tmp", prefix);
  if (mkdtemp(path.data()) == nullptr) {
    return Err(error(fmt::format("{}: {}", path, std::strerror(errno))));
  }
  return TempFolder(path);
}

TempFolder::~TempFolder() {
  std::error_code ignored;  // at worst a temporary folder stays
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace orch::ctl
