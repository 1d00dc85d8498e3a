// `orch certificate`: certificates in the data directory.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "cmd/commands.h"
#include "cmd/options.h"
#include "cmd/process.h"
#include "orch/base/strings.h"
#include "orch/server/identity_files.h"

namespace orch::cmd {
namespace {

constexpr std::string_view kUsage =
    "Certificates in the data directory.\n\n"
    "Usage: orch certificate COMMAND [flags]\n\nCommands:\n"
    "  check      list them: name, subject, expiry, status; fails if one is not good\n"
    "  rotate     have them made anew: within seconds where orch runs, else at its start\n"
    "  rotate-ca  make new authorities, in force from the server's next start; agents,\n"
    "             kubeconfigs and tokens of before go on\n";

int check(const std::string& data_dir, WallTime now) {
  auto rows = server::list_certificates(data_dir, now);
  if (!rows) {
    fmt::print(stderr, "error: {}\n", rows.error());
    return 1;
  }
  size_t name = 4, subject = 7;
  for (const auto& row : *rows) {
    name = std::max(name, row.name.size());
    subject = std::max(subject, row.subject.size());
  }
  fmt::print("{:<{}}  {:<{}}  {:<20}  {}\n", "NAME", name, "SUBJECT", subject, "EXPIRES", "STATUS");
  bool good = true;
  for (const auto& row : *rows) {
    fmt::print("{:<{}}  {:<{}}  {:<20}  {}\n", row.name, name, row.subject, subject, row.expires,
               row.status);
    good = good && row.good;
  }
  return good ? 0 : 1;
}

int rotate(const std::string& data_dir, const std::vector<std::string>& names) {
  auto done = server::rotate_certificates(data_dir, names);
  if (!done) {
    fmt::print(stderr, "error: {}\n", done.error());
    return 1;
  }
  for (const auto& name : *done) fmt::print("{}: will be made anew\n", name);
  return 0;
}

int rotate_ca(const std::string& data_dir, WallTime now) {
  auto done = server::rotate_authorities(data_dir, now);
  if (!done) {
    fmt::print(stderr, "error: {}\n", done.error());
    return 1;
  }
  std::puts(
      "New authorities are in place, signed by those of before. Restart orch server now,\n"
      "then the other servers of its datastore, if there are any, then each agent when it suits\n"
      "you; the old files are beside them (*.old).");
  return 0;
}

}  // namespace

int certificate_command(int argc, char** argv) {
  const std::string action = argc > 1 ? argv[1] : "";
  if (action != "check" && action != "rotate" && action != "rotate-ca") {
    const bool asked = action == "--help" || action == "-h" || action == "help";
    if (!asked && !action.empty()) fmt::print(stderr, "error: unknown command \"{}\"\n\n", action);
    std::fputs(kUsage.data(), asked ? stdout : stderr);
    return asked ? 0 : 2;
  }
  std::string data_dir = "/var/lib/orch";
  std::vector<std::string> names;
  Options options("orch certificate " + action, "Certificates in the data directory.");
  options.add("data-dir", data_dir, "Where all state is kept");
  if (action == "rotate") {
    options.add("name", names, "Only those of this name, as check lists it (default: all)");
  }
  options.share_file();
  if (auto parsed = options.parse(argc - 1, argv + 1); !parsed) {
    std::fputs(parsed.error().text.c_str(), parsed.error().code == 0 ? stdout : stderr);
    return parsed.error().code;
  }
  Process process;
  const WallTime now = process.env().clock.now();
  if (action == "check") return check(data_dir, now);
  return action == "rotate" ? rotate(data_dir, names) : rotate_ca(data_dir, now);
}

}  // namespace orch::cmd
