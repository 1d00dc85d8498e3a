#include "unit/storage/power_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace orch::storage::test {

namespace {

PowerVfs* active = nullptr;
sqlite3_vfs* below = nullptr;
sqlite3_vfs shim;

struct File {
  sqlite3_file base;
  std::string* name;
};
const std::string& name_of(sqlite3_file* file) { return *reinterpret_cast<File*>(file)->name; }

void perform(std::string& content, const PowerVfs::Write& write) {
  if (write.truncates) {
    content.resize(std::min(content.size(), write.offset));
    return;
  }
  if (content.size() < write.offset + write.data.size()) {
    content.resize(write.offset + write.data.size());
  }
  content.replace(write.offset, write.data.size(), write.data);
}

int close(sqlite3_file* file) {
  delete reinterpret_cast<File*>(file)->name;
  return SQLITE_OK;
}
int read(sqlite3_file* file, void* to, int bytes, sqlite3_int64 offset) {
  std::lock_guard lock(active->mutex);
  const std::string& content = active->files[name_of(file)].now;
  const auto from = std::min(content.size(), static_cast<size_t>(offset));
  const auto there = std::min(content.size() - from, static_cast<size_t>(bytes));
  std::memcpy(to, content.data() + from, there);
  if (there == static_cast<size_t>(bytes)) return SQLITE_OK;
  std::memset(static_cast<char*>(to) + there, 0, static_cast<size_t>(bytes) - there);
  return SQLITE_IOERR_SHORT_READ;
}
int change(sqlite3_file* file, PowerVfs::Write write) {
  std::lock_guard lock(active->mutex);
  active->changing(name_of(file));
  active->files[name_of(file)].change(std::move(write));
  return SQLITE_OK;
}
int write(sqlite3_file* file, const void* data, int bytes, sqlite3_int64 offset) {
  return change(file,
                {static_cast<size_t>(offset),
                 std::string(static_cast<const char*>(data), static_cast<size_t>(bytes)), false});
}
int truncate(sqlite3_file* file, sqlite3_int64 size) {
  return change(file, {static_cast<size_t>(size), "", true});
}
int sync(sqlite3_file* file, int) {
  std::lock_guard lock(active->mutex);
  active->changing(name_of(file));
  auto& disk = active->files[name_of(file)];
  disk.durable = disk.now;
  disk.pending.clear();
  return SQLITE_OK;
}
int file_size(sqlite3_file* file, sqlite3_int64* size) {
  std::lock_guard lock(active->mutex);
  *size = static_cast<sqlite3_int64>(active->files[name_of(file)].now.size());
  return SQLITE_OK;
}
int no_lock(sqlite3_file*, int) { return SQLITE_OK; }

const sqlite3_io_methods kMethods = {
    1,
    close,
    read,
    write,
    truncate,
    sync,
    file_size,
    no_lock,
    no_lock,
    [](sqlite3_file*, int* held) {
      *held = 0;
      return SQLITE_OK;
    },
    [](sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; },
    [](sqlite3_file*) { return 512; },
    [](sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; },
};

int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  static int temporary = 0;
  auto* opened = reinterpret_cast<File*>(file);
  opened->name = new std::string(name ? name : "temporary-" + std::to_string(++temporary));
  opened->base.pMethods = &kMethods;
  std::lock_guard lock(active->mutex);
  active->files[*opened->name];
  if (out_flags) *out_flags = flags;
  return SQLITE_OK;
}
int erase(sqlite3_vfs*, const char* name, int) {
  std::lock_guard lock(active->mutex);
  active->changing(name);
  active->files.erase(name);
  return SQLITE_OK;
}
int access(sqlite3_vfs*, const char* name, int, int* out) {
  std::lock_guard lock(active->mutex);
  auto it = active->files.find(name);
  *out = it != active->files.end();
  return SQLITE_OK;
}
int full_path(sqlite3_vfs*, const char* name, int size, char* out) {
  sqlite3_snprintf(size, out, "%s", name);
  return SQLITE_OK;
}

}  // namespace

void PowerVfs::Disk::change(Write write) {
  perform(now, write);
  pending.push_back(std::move(write));
}

PowerVfs::PowerVfs(unsigned seed, std::function<bool(const std::string&)> cut,
                   std::function<void(Image&&)> take)
    : random_(seed), cut_(std::move(cut)), take_(std::move(take)) {
  below = sqlite3_vfs_find(nullptr);
  shim = *below;
  shim.zName = "orch-power";
  shim.pNext = nullptr;
  shim.szOsFile = sizeof(File);
  shim.xOpen = open;
  shim.xDelete = erase;
  shim.xAccess = access;
  shim.xFullPathname = full_path;
  active = this;
  sqlite3_vfs_register(&shim, 1);
}

PowerVfs::~PowerVfs() {
  sqlite3_vfs_unregister(&shim);
  sqlite3_vfs_register(below, 1);
  active = nullptr;
}

void PowerVfs::changing(const std::string& file) {
  if (!cut_(file)) return;
  Image image;
  for (const auto& [name, disk] : files) {
    std::string content = disk.durable;
    const auto luck = random_() % 4;  // nothing, everything, or anything between
    for (const Write& write : disk.pending) {
      if (luck == 0) break;
      const auto fate = luck == 1 ? 0 : random_() % 3;
      if (fate == 1) continue;  // lost
      if (fate == 0 || write.truncates) {
        perform(content, write);
        continue;
      }
      for (size_t at = 0; at < write.data.size(); at += 512) {  // torn
        if (random_() % 2) perform(content, {write.offset + at, write.data.substr(at, 512), false});
      }
    }
    image[name] = std::move(content);
  }
  take_(std::move(image));
}

}  // namespace orch::storage::test
