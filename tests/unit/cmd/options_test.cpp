// Goal: a flag wins over its variable, the variable over the file, later files over earlier ones; what
// is wrong is named.
#include <catch2/catch.hpp>
#include <stdlib.h>

#include <filesystem>

#include "cmd/options.h"
#include "orch/base/file.h"

using namespace orch;
using cmd::Options;

namespace {

// A config file of its own, removed at the end.
struct Config {
  Config() {
    char path[] = "/tmp/orch-options-XXXXXX";
    directory = mkdtemp(path);
  }
  ~Config() { std::filesystem::remove_all(directory); }
  std::string file() const { return directory + "/config.yaml"; }
  void write(const std::string& name, const std::string& text) const {
    REQUIRE(make_directories(directory + "/config.yaml.d"));
    REQUIRE(write_file_atomic(directory + "/" + name, text));
  }
  std::string directory;
};

struct Parsed {
  std::string name = "default";
  uint16_t port = 1;
  bool flag = false;
  std::vector<std::string> list;
  Result<Unit, Options::Exit> result = Unit{};

  Parsed(const Config& config, std::vector<std::string> arguments) {
    Options options("orch test", "A test.");
    options.add("test-name", name, "A name");
    options.add("test-port", port, "A port");
    options.add("test-flag", flag, "A switch");
    options.add("test-list", list, "A list");
    arguments.insert(arguments.begin(), {"test", "--config", config.file()});
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    result = options.parse(static_cast<int>(argv.size()), argv.data());
  }
};

}  // namespace

TEST_CASE("flag over variable over file over default") {
  Config config;
  config.write("config.yaml", "test-name: file\ntest-port: 7\ntest-flag: true\n");
  CHECK(Parsed(config, {}).name == "file");
  CHECK(Parsed(config, {}).port == 7);
  CHECK(Parsed(config, {}).flag);
  setenv("ORCH_TEST_NAME", "variable", 1);
  CHECK(Parsed(config, {}).name == "variable");
  CHECK(Parsed(config, {"--test-name", "flag"}).name == "flag");
  unsetenv("ORCH_TEST_NAME");
}

TEST_CASE("parts of config.yaml.d win over the file, later ones over earlier ones") {
  Config config;
  config.write("config.yaml", "test-name: main\ntest-list: [a, b]\n");
  config.write("config.yaml.d/10.yaml", "test-name: ten\n");
  config.write("config.yaml.d/20.yaml", "test-name: twenty\n");
  config.write("config.yaml.d/30.txt", "test-name: ignored\n");
  Parsed parsed(config, {});
  CHECK(parsed.name == "twenty");
  CHECK(parsed.list == std::vector<std::string>{"a", "b"});
}

TEST_CASE("lists repeat and take commas") {
  Config config;
  config.write("config.yaml", "");
  CHECK(Parsed(config, {"--test-list", "a,b", "--test-list", "c"}).list ==
        std::vector<std::string>{"a", "b", "c"});
}

TEST_CASE("what is wrong is named") {
  Config config;
  config.write("config.yaml", "test-nme: x\n");
  const auto says = [](const Parsed& parsed, const std::string& text) {
    REQUIRE_FALSE(parsed.result);
    CAPTURE(parsed.result.error().text);
    CHECK(parsed.result.error().code == 2);
    CHECK(parsed.result.error().text.find(text) != std::string::npos);
  };
  says(Parsed(config, {}), config.file() + ": unknown key \"test-nme\"");
  config.write("config.yaml", "test-port: many\n");
  says(Parsed(config, {}), "test-port");
  config.write("config.yaml", "- a\n");
  says(Parsed(config, {}), config.file() + ": must be a mapping");
  config.write("config.yaml", "test-name: {a: b}\n");
  says(Parsed(config, {}), "test-name: must be a value or a list of values");
  config.write("config.yaml", "");
  says(Parsed(config, {"--nonsense"}), "--nonsense");
  says(Parsed(config, {"--test-port", "70000"}), "--test-port");
  says(Parsed(config, {"--config", "/nowhere/x.yaml"}), "/nowhere/x.yaml");
}

TEST_CASE("a command that shares the file passes over other commands' keys") {
  Config config;
  config.write("config.yaml", "cluster-cidr: 10.0.0.0/16\ntest-name: file\n");
  std::string name, path = config.file();
  Options options("orch test", "A test.");
  options.add("test-name", name, "A name");
  options.share_file();
  std::vector<std::string> arguments = {"test", "--config", path};
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  REQUIRE(options.parse(static_cast<int>(argv.size()), argv.data()));
  CHECK(name == "file");
}

TEST_CASE("--help prints the flags and is no failure") {
  Config config;
  Parsed parsed(config, {"--help"});
  REQUIRE_FALSE(parsed.result);
  CHECK(parsed.result.error().code == 0);
  CHECK(parsed.result.error().text.find("--test-port") != std::string::npos);
}
