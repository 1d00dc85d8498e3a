#include "ctl/flags.h"

#include <catch2/catch.hpp>

using namespace orch::ctl;

namespace {

std::vector<Flag> known() {
  using Kind = Flag::Kind;
  return {{"namespace", 'n', Kind::kText},
          {"stdin", 'i', Kind::kBool, "false"},
          {"tty", 't', Kind::kBool, "false"},
          {"wait", 0, Kind::kBool, "true"},
          {"filename", 'f', Kind::kList},
          {"tail", 0, Kind::kText, "-1"},
          {"timeout", 0, Kind::kText, "30s"},
          {"dry-run", 0, Kind::kOptionalText, "none", "", "client"}};
}

Flags good(const std::vector<std::string>& args) {
  auto flags = Flags::parse(known(), args, "orch ctl get");
  INFO((flags ? "" : flags.error().message));
  REQUIRE(flags);
  return *flags;
}

std::string bad(const std::vector<std::string>& args) {
  auto flags = Flags::parse(known(), args, "orch ctl get");
  REQUIRE(!flags);
  return flags.error().message;
}

}  // namespace

TEST_CASE("every way to give a flag its value") {
  for (const auto& args : std::vector<std::vector<std::string>>{
           {"-n", "a"}, {"-na"}, {"-n=a"}, {"--namespace", "a"}, {"--namespace=a"}}) {
    CHECK(good(args).text("namespace") == "a");
  }
  CHECK(good({"--namespace="}).given("namespace"));
  CHECK(good({}).text("tail") == "-1");
  CHECK_FALSE(good({}).given("tail"));
}

TEST_CASE("grouped letters, the last one with a value") {
  const Flags flags = good({"-itn", "a"});
  CHECK(flags.on("stdin"));
  CHECK(flags.on("tty"));
  CHECK(flags.text("namespace") == "a");
}

TEST_CASE("booleans take a value only after =") {
  const Flags flags = good({"--wait=false", "-i", "false"});
  CHECK_FALSE(flags.on("wait"));
  CHECK(flags.on("stdin"));
  CHECK(flags.args() == std::vector<std::string>{"false"});
  CHECK(good({}).on("wait"));
}

TEST_CASE("a flag whose value may be left out does not eat the next argument") {
  const Flags flags = good({"--dry-run", "server"});
  CHECK(flags.text("dry-run") == "client");
  CHECK(flags.args() == std::vector<std::string>{"server"});
  CHECK(good({"--dry-run=server"}).text("dry-run") == "server");
  CHECK(good({}).text("dry-run") == "none");
}

TEST_CASE("arguments mix with flags, and all is an argument after --") {
  const Flags flags = good({"pod", "-i", "x", "--", "ls", "-l", "--", "-n"});
  CHECK(flags.args() == std::vector<std::string>{"pod", "x", "ls", "-l", "--", "-n"});
  CHECK(flags.dash_at() == 2u);
  CHECK_FALSE(flags.given("namespace"));
  CHECK_FALSE(good({"a"}).dash_at());
  CHECK(good({"-"}).args() == std::vector<std::string>{"-"});
}

TEST_CASE("lists keep every value in order") {
  CHECK(good({"-f", "a", "--filename=b,c"}).list("filename") ==
        std::vector<std::string>{"a", "b,c"});
}

TEST_CASE("bad flags are named") {
  const std::string hint = "\nSee 'orch ctl get --help' for usage.";
  CHECK(bad({"--frob"}) == "error: unknown flag: --frob" + hint);
  CHECK(bad({"-iz"}) == "error: unknown shorthand flag: 'z' in -z" + hint);
  CHECK(bad({"--namespace"}) == "error: flag needs an argument: --namespace" + hint);
  CHECK(bad({"-in"}) == "error: flag needs an argument: 'n' in -n" + hint);
  CHECK(bad({"---x"}) == "error: bad flag syntax: ---x" + hint);
  CHECK(bad({"--wait=perhaps"}).find("invalid argument \"perhaps\"") != std::string::npos);
}

TEST_CASE("numbers and durations") {
  CHECK(*good({"--tail=7"}).number("tail") == 7);
  CHECK_FALSE(good({"--tail=7x"}).number("tail"));
  CHECK(*good({}).millis("timeout") == 30'000);
  CHECK(*good({"--timeout=1m30s"}).millis("timeout") == 90'000);
  CHECK(*good({"--timeout=5"}).millis("timeout") == 5'000);
  CHECK(*good({"--timeout=0"}).millis("timeout") == 0);
  CHECK_FALSE(good({"--timeout=soon"}).millis("timeout"));
}
