#include "ctl/remote_command.h"

#include <catch2/catch.hpp>

using namespace orch::ctl;

TEST_CASE("exit codes") {
  CHECK(*exit_code_of(R"({"metadata":{},"status":"Success"})") == 0);
  CHECK(*exit_code_of(R"({"status":"Failure","reason":"NonZeroExitCode","message":"m",
      "details":{"causes":[{"reason":"ExitCode","message":"42"}]}})") == 42);
  CHECK(exit_code_of(R"({"status":"Failure","message":"no such file"})").error().message ==
        "error: no such file");
  CHECK_FALSE(exit_code_of("not json"));
  CHECK_FALSE(exit_code_of("[]"));
}
