#include "server/maintenance/identity.h"

#include <fmt/format.h>

#include <filesystem>

#include "orch/base/file.h"

namespace orch::server {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFile = "file:";
constexpr std::string_view kTls = "tls/", kToken = "token";
constexpr uintmax_t kFileBytesMax = 1 << 20;

Result<Unit, std::string> add_file(const std::string& server_directory, const std::string& path,
                                   std::map<std::string, std::string>& items) {
  ORCH_TRY(items[std::string(kFile) + path], read_file(server_directory + "/" + path));
  return Unit{};
}

// What add_identity() may have written; nothing else is taken from a snapshot.
bool expected(std::string_view path) {
  if (path == kToken) return true;
  if (!path.starts_with(kTls)) return false;
  return path.find("..") == std::string_view::npos && path.find('\0') == std::string_view::npos &&
         !path.ends_with('/');
}

}  // namespace

Result<Unit, std::string> add_identity(const std::string& server_directory,
                                       std::map<std::string, std::string>& items) {
  std::error_code error;
  const std::string tls = server_directory + "/tls";
  for (const auto& entry : fs::recursive_directory_iterator(tls, error)) {
    if (!entry.is_regular_file(error) || entry.file_size(error) > kFileBytesMax) continue;
    const auto path = fs::relative(entry.path(), server_directory, error).string();
    // A half-written one's temporary name.
    if (expected(path) && path.find(".tmp") == std::string::npos) {
      ORCH_CHECK(add_file(server_directory, path, items));
    }
  }
  if (!file_exists(server_directory + "/" + std::string(kToken))) return Unit{};
  return add_file(server_directory, std::string(kToken), items);
}

Result<Unit, std::string> restore_identity(const std::map<std::string, std::string>& items,
                                           const std::string& server_directory,
                                           Restored& restored) {
  for (const auto& [name, content] : items) {
    if (!name.starts_with(kFile)) continue;
    const std::string path = name.substr(kFile.size());
    if (!expected(path)) return Err(fmt::format("the snapshot names a file \"{}\"", path));
    const std::string file = server_directory + "/" + path;
    // An empty file is what a power cut leaves behind.
    if (auto there = read_file(file); there && !there->empty()) {
      restored.kept.push_back(path);
      continue;
    }
    ORCH_CHECK(make_directories(file.substr(0, file.rfind('/')), 0700));
    ORCH_CHECK(write_file_atomic(file, content, 0600));
    restored.files.push_back(path);
  }
  return Unit{};
}

}  // namespace orch::server
