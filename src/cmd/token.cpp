// `orch token`: tokens with which agents join.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "cmd/commands.h"
#include "cmd/options.h"
#include "cmd/process.h"
#include "orch/server/identity_files.h"

namespace orch::cmd {
namespace {

constexpr std::string_view kUsage =
    "Tokens with which agents join. On a server's machine, as root.\n\n"
    "Usage: orch token COMMAND [flags]\n\nCommands:\n"
    "  create        make a token that expires, and print it\n"
    "  list          list tokens\n"
    "  delete TOKEN  delete a token, by its id or as it was printed\n"
    "  rotate        give the server's own token a new secret; agents that have joined\n"
    "                go on; of servers over one datastore each needs the same --new-token\n";

int print(const Result<std::string, std::string>& done) {
  if (!done) {
    fmt::print(stderr, "error: {}\n", done.error());
    return 1;
  }
  fmt::print("{}\n", *done);
  return 0;
}

int list(Env& env, const server::TokenServer& server) {
  auto rows = server::list_tokens(env, server);
  if (!rows) {
    fmt::print(stderr, "error: {}\n", rows.error());
    return 1;
  }
  size_t token = 5, expires = 7, usages = 6;
  for (const auto& row : *rows) {
    token = std::max(token, row.token.size());
    expires = std::max(expires, row.expires.size());
    usages = std::max(usages, row.usages.size());
  }
  fmt::print("{:<{}}  {:<{}}  {:<{}}  {}\n", "TOKEN", token, "EXPIRES", expires, "USAGES", usages,
             "DESCRIPTION");
  for (const auto& row : *rows) {
    fmt::print("{:<{}}  {:<{}}  {:<{}}  {}\n", row.token, token, row.expires, expires, row.usages,
               usages, row.description);
  }
  return 0;
}

}  // namespace

int token_command(int argc, char** argv) {
  const std::string action = argc > 1 ? argv[1] : "";
  if (action != "create" && action != "list" && action != "delete" && action != "rotate") {
    const bool asked = action == "--help" || action == "-h" || action == "help";
    if (!asked && !action.empty()) fmt::print(stderr, "error: unknown command \"{}\"\n\n", action);
    std::fputs(kUsage.data(), asked ? stdout : stderr);
    return asked ? 0 : 2;
  }
  server::TokenServer server;
  server::NewToken wanted;
  std::string which, secret;
  Options options("orch token " + action, "Tokens with which agents join.");
  options.add("data-dir", server.data_dir, "The server's data directory");
  if (action != "rotate") options.add("server", server.url, "The server's URL");
  if (action == "create") {
    options.add("ttl", wanted.ttl, "How long it is good: 24h, 30m, 7d; 0 = for ever");
    options.add("description", wanted.description, "What it is for");
    options.add("new-token", wanted.token, "The token, id.secret (default: a random one)");
  } else if (action == "rotate") {
    options.add("new-token", secret, "The secret (default: a random one)");
  } else if (action == "delete") {
    options.argument("TOKEN", which, "Its id, or the token");
  }
  options.share_file();
  if (auto parsed = options.parse(argc - 1, argv + 1); !parsed) {
    std::fputs(parsed.error().text.c_str(), parsed.error().code == 0 ? stdout : stderr);
    return parsed.error().code;
  }
  Process process;
  if (action == "list") return list(process.env(), server);
  if (action == "create") return print(server::create_token(process.env(), server, wanted));
  if (action == "rotate") {
    return print(server::rotate_token(process.env(), server.data_dir, secret));
  }
  auto deleted = server::delete_token(server, which);
  if (deleted) return print(fmt::format("token {} deleted", which));
  return print(Err(deleted.error()));
}

}  // namespace orch::cmd
