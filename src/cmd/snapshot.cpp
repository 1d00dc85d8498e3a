// `orch snapshot`: backups of the store.
#include <fmt/format.h>

#include <cstdio>
#include <string_view>

#include "cmd/commands.h"
#include "cmd/options.h"
#include "cmd/process.h"
#include "orch/base/time_zone.h"
#include "orch/server/maintenance.h"

namespace orch::cmd {
namespace {

constexpr std::string_view kUsage =
    "Backups of the store: consistent, checksummed, made while the server runs.\n\n"
    "Usage: orch snapshot COMMAND [flags]\n\nCommands:\n"
    "  save          write a snapshot\n"
    "  list          list the snapshots there are, newest first\n"
    "  restore FILE  make the store of an empty data directory from a snapshot, orch's or etcd's\n"
    "  prune         delete all but the newest snapshots of a name\n\n"
    "`orch snapshot COMMAND --help` lists a command's flags.\n";

int fail(std::string_view what) {
  fmt::print(stderr, "error: {}\n", what);
  return 1;
}

int print_exit(const Options::Exit& exit) {
  std::fputs(exit.text.c_str(), exit.code == 0 ? stdout : stderr);
  return exit.code;
}

std::string size_text(int64_t bytes) {
  if (bytes < 10 * 1024) return fmt::format("{} B", bytes);
  if (bytes < 10 * 1024 * 1024) return fmt::format("{} KiB", bytes / 1024);
  return fmt::format("{} MiB", bytes / (1024 * 1024));
}

void add_place(Options& options, server::MaintenancePlace& place) {
  options.add("data-dir", place.data_dir, "The server's data directory");
  options.add("snapshot-dir", place.snapshot_dir,
              "Where snapshots are (default: DATA_DIR/server/snapshots)");
  options.share_file();
}

int save(int argc, char** argv) {
  server::MaintenancePlace place;
  server::SnapshotWish wish;
  std::string format = "orch";
  Options options("orch snapshot save", "Writes a snapshot of the store.");
  add_place(options, place);
  options.add("name", wish.name, "The file's name begins with it");
  options.add(
      "format", format,
      "orch: compressed, with the server's keys; etcd: as etcdctl snapshot restore takes it");
  options.add("encryption-provider-config", place.encryption_provider_config,
              "The server's, if it has one");
  if (auto parsed = options.parse(argc, argv); !parsed) return print_exit(parsed.error());
  if (format != "orch" && format != "etcd") {
    return fail(fmt::format("--format: \"{}\" is not orch or etcd", format));
  }
  wish.etcd_form = format == "etcd";
  Process process;
  auto saved = server::save_snapshot(process.env(), place, wish);
  if (!saved) return fail(saved.error());
  fmt::print("{}: revision {}, {} keys, {}\n", saved->path, saved->revision, saved->keys,
             size_text(saved->bytes));
  return 0;
}

int list(int argc, char** argv) {
  server::MaintenancePlace place;
  Options options("orch snapshot list", "Lists snapshots, newest first.");
  add_place(options, place);
  if (auto parsed = options.parse(argc, argv); !parsed) return print_exit(parsed.error());
  auto files = server::list_snapshots(place);
  if (!files) return fail(files.error());
  if (files->empty()) {
    std::fputs("No snapshots found.\n", stderr);
    return 0;
  }
  size_t width = 4;
  for (const auto& file : *files) width = std::max(width, file.name.size());
  fmt::print("{:<{}}   {:<9}   {}\n", "NAME", width, "SIZE", "CREATED");
  for (const auto& file : *files) {
    fmt::print("{:<{}}   {:<9}   {}\n", file.name, width, size_text(file.bytes),
               TimeZone().rfc3339(file.created));
  }
  return 0;
}

int restore(int argc, char** argv) {
  server::MaintenancePlace place;
  std::string file;
  bool skip_hash_check = false;
  Options options("orch snapshot restore",
                  "Makes the store of an empty data directory from a snapshot: orch's, or one that "
                  "etcdctl saved of another Kubernetes' etcd.");
  add_place(options, place);
  options.argument("FILE", file, "A path, or a name in the snapshot directory");
  options.add("skip-hash-check", skip_hash_check,
              "Takes files without a checksum, such as a database of etcd's own directory");
  options.add("encryption-provider-config", place.encryption_provider_config,
              "With the keys of encrypted values of an etcd snapshot");
  if (auto parsed = options.parse(argc, argv); !parsed) return print_exit(parsed.error());
  auto restored = server::restore_snapshot(place, file, !skip_hash_check);
  if (!restored) return fail(restored.error());
  fmt::print("restored: {} keys of revision {}{}\n", restored->keys, restored->revision,
             restored->imported ? ", imported from etcd" : "");
  for (const auto& what : restored->left_out) fmt::print("left out: {}\n", what);
  for (const auto& kept : restored->kept) fmt::print("kept as it was: {}\n", kept);
  return 0;
}

int prune(int argc, char** argv) {
  server::MaintenancePlace place;
  std::string name = "snapshot";
  uint16_t keep = 5;
  Options options("orch snapshot prune", "Deletes all but the newest snapshots of a name.");
  add_place(options, place);
  options.add("name", name, "Which: \"snapshot\" as saved by hand, \"scheduled\" by the schedule");
  options.add("snapshot-retention", keep, "How many to keep");
  if (auto parsed = options.parse(argc, argv); !parsed) return print_exit(parsed.error());
  auto gone = server::prune_snapshots(place, name, keep);
  if (!gone) return fail(gone.error());
  for (const auto& path : *gone) fmt::print("deleted {}\n", path);
  return 0;
}

}  // namespace

int snapshot_command(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "save") return save(argc - 1, argv + 1);
  if (command == "list" || command == "ls") return list(argc - 1, argv + 1);
  if (command == "restore") return restore(argc - 1, argv + 1);
  if (command == "prune") return prune(argc - 1, argv + 1);
  const bool asked = command == "--help" || command == "-h" || command == "help";
  if (!asked && !command.empty()) {
    fmt::print(stderr, "error: unknown command \"{}\"\n\n", command);
  }
  std::fputs(kUsage.data(), asked ? stdout : stderr);
  return asked ? 0 : 2;
}

}  // namespace orch::cmd
