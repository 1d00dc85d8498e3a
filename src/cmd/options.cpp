#include "cmd/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <map>

#include "orch/api/flat_yaml.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"

namespace orch::cmd {
namespace {

constexpr std::string_view kDefaultConfig = "/etc/orch/config.yaml";

std::string env_name(std::string_view option) {
  std::string name = "ORCH_";
  for (char c : option) name.push_back(c == '-' ? '_' : static_cast<char>(std::toupper(c)));
  return name;
}

std::string flags_of(std::string_view name, std::string_view aliases) {
  std::string flags = "--" + std::string(name);
  for (const auto& alias : split(aliases, ',')) flags += ",--" + alias;
  return flags;
}

}  // namespace

struct Options::Impl {
  CLI::App app;
  std::string config = std::string(kDefaultConfig);
  std::map<std::string, CLI::Option*> by_name;
  bool shared_file = false;

  explicit Impl(std::string command, std::string about)
      : app(std::move(about), std::move(command)) {}

  void remember(std::string_view name, CLI::Option* option) {
    option->envname(env_name(name));
    by_name[std::string(name)] = option;
  }

  // Sets what neither a flag nor the environment gave. `seen` keeps earlier files from being
  // overridden in part: the last file that names a key wins, so files come latest first.
  Result<Unit, std::string> take_file(const std::string& path) {
    ORCH_TRY(auto text, read_file(path));
    auto values = api::read_flat_yaml(text);
    if (!values) return Err(path + ": " + values.error());
    for (const auto& [key, list] : *values) {
      auto it = by_name.find(key);
      if (it == by_name.end() && shared_file) continue;
      if (it == by_name.end() || key == "config") {
        return Err(fmt::format("{}: unknown key \"{}\"", path, key));
      }
      if (it->second->count() > 0) continue;
      try {
        for (const auto& value : list) it->second->add_result(value);
        if (!list.empty()) it->second->run_callback();
      } catch (const CLI::Error& e) {
        return Err(fmt::format("{}: {}: {}", path, key, e.what()));
      }
    }
    return Unit{};
  }

  Result<Unit, std::string> take_files() {
    std::vector<std::string> files;
    if (file_exists(config)) {
      files.push_back(config);
    } else if (config != kDefaultConfig) {
      return Err(fmt::format("--config: {}: No such file or directory", config));
    }
    std::error_code error;
    std::vector<std::string> parts;
    for (const auto& entry : std::filesystem::directory_iterator(config + ".d", error)) {
      if (entry.path().extension() == ".yaml") parts.push_back(entry.path().string());
    }
    std::sort(parts.begin(), parts.end());
    files.insert(files.end(), parts.begin(), parts.end());
    for (auto it = files.rbegin(); it != files.rend(); ++it) ORCH_CHECK(take_file(*it));
    return Unit{};
  }
};

Options::Options(std::string command, std::string about)
    : impl_(std::make_unique<Impl>(std::move(command), std::move(about))) {
  add("config", impl_->config, "Configuration file; FILE.d/*.yaml are read too");
}
Options::~Options() = default;

void Options::add(std::string_view name, std::string& target, std::string_view help,
                  std::string_view aliases) {
  impl_->remember(name, impl_->app.add_option(flags_of(name, aliases), target, std::string(help))
                            ->capture_default_str()
                            ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast));
}

void Options::add(std::string_view name, uint16_t& target, std::string_view help) {
  impl_->remember(name, impl_->app.add_option(flags_of(name, ""), target, std::string(help))
                            ->capture_default_str()
                            ->check(CLI::Range(0, 65535)));
}

void Options::add(std::string_view name, bool& target, std::string_view help) {
  impl_->remember(name, impl_->app.add_flag(flags_of(name, ""), target, std::string(help)));
}

void Options::add(std::string_view name, std::vector<std::string>& target, std::string_view help) {
  impl_->remember(name, impl_->app.add_option(flags_of(name, ""), target, std::string(help))
                            ->delimiter(',')
                            ->type_size(1)
                            ->expected(1)
                            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll));
}

void Options::argument(std::string_view name, std::string& target, std::string_view help) {
  impl_->app.add_option(std::string(name), target, std::string(help))->required();
}

void Options::share_file() { impl_->shared_file = true; }

Result<Unit, Options::Exit> Options::parse(int argc, char** argv) {
  try {
    impl_->app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return Err(Exit{0, impl_->app.help()});
  } catch (const CLI::Error& e) {
    return Err(
        Exit{2, fmt::format("error: {}\nSee '{} --help'.\n", e.what(), impl_->app.get_name())});
  }
  if (auto files = impl_->take_files(); !files) {
    return Err(Exit{2, fmt::format("error: {}\n", files.error())});
  }
  return Unit{};
}

}  // namespace orch::cmd
