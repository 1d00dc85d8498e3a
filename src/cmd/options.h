// One table of options a command: each is a flag (--data-dir), an environment variable
// (ORCH_DATA_DIR) and a key of the configuration file (data-dir). Precedence: flag, environment,
// file, default. Bad input is an error that names the flag, variable or file and key.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/result.h"

namespace orch::cmd {

class Options {
 public:
  // `about` is the first line of --help.
  Options(std::string command, std::string about);
  ~Options();

  // `target` holds the default and receives the value. `aliases`: further flag names, "a,b".
  void add(std::string_view name, std::string& target, std::string_view help,
           std::string_view aliases = "");
  void add(std::string_view name, uint16_t& target, std::string_view help);
  void add(std::string_view name, bool& target, std::string_view help);
  // May be given several times, or with commas.
  void add(std::string_view name, std::vector<std::string>& target, std::string_view help);

  // One required argument without a flag.
  void argument(std::string_view name, std::string& target, std::string_view help);

  // Passes over keys of the configuration file that are other commands'.
  void share_file();

  // Parses argv[1...], then the environment, then --config FILE (default /etc/orch/config.yaml if
  // it is there) and FILE.d/*.yaml in order of their names.
  struct Exit {
    int code;          // 0: --help was printed
    std::string text;  // what to print
  };
  Result<Unit, Exit> parse(int argc, char** argv);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace orch::cmd
