#include "storage/sqlite/gathering_vfs.h"

#include <sqlite3.h>

#include <string>

namespace orch::storage {
namespace {

constexpr size_t kGatherBytes = 64 * 1024;
constexpr int kFileBytes = 1024;  // of the default's files, at most

// Looked up each time: tests change it.
sqlite3_vfs* below() { return sqlite3_vfs_find(nullptr); }

struct Log {
  sqlite3_file base;
  sqlite3_file* file;  // the default's, right behind this
  std::string* gathered;
  sqlite3_int64 at;  // where it belongs
};
Log& log_of(sqlite3_file* file) { return *reinterpret_cast<Log*>(file); }

int flush(Log& log) {
  if (log.gathered->empty()) return SQLITE_OK;
  const int code = log.file->pMethods->xWrite(log.file, log.gathered->data(),
                                              static_cast<int>(log.gathered->size()), log.at);
  log.gathered->clear();
  return code;
}

int write(sqlite3_file* file, const void* data, int bytes, sqlite3_int64 offset) {
  Log& log = log_of(file);
  const auto size = static_cast<size_t>(bytes);
  const auto end = log.at + static_cast<sqlite3_int64>(log.gathered->size());
  if (offset != end || log.gathered->size() + size > kGatherBytes) {
    if (const int code = flush(log); code != SQLITE_OK) return code;
  }
  if (size > kGatherBytes) return log.file->pMethods->xWrite(log.file, data, bytes, offset);
  if (log.gathered->empty()) log.at = offset;
  log.gathered->append(static_cast<const char*>(data), size);
  return SQLITE_OK;
}

int close(sqlite3_file* file) {
  Log& log = log_of(file);
  const int flushed = flush(log);
  delete log.gathered;
  const int closed = log.file->pMethods->xClose(log.file);
  return flushed != SQLITE_OK ? flushed : closed;
}

// A method of the file below, which has to see all that was written.
template <auto Method, class... Args>
int after_flush(sqlite3_file* file, Args... args) {
  Log& log = log_of(file);
  if (const int code = flush(log); code != SQLITE_OK) return code;
  return (log.file->pMethods->*Method)(log.file, args...);
}
template <auto Method, class... Args>
int pass(sqlite3_file* file, Args... args) {
  sqlite3_file* under = log_of(file).file;
  return (under->pMethods->*Method)(under, args...);
}

using Methods = sqlite3_io_methods;
const Methods kMethods = {
    1,
    close,
    after_flush<&Methods::xRead, void*, int, sqlite3_int64>,
    write,
    after_flush<&Methods::xTruncate, sqlite3_int64>,
    after_flush<&Methods::xSync, int>,
    after_flush<&Methods::xFileSize, sqlite3_int64*>,
    pass<&Methods::xLock, int>,
    pass<&Methods::xUnlock, int>,
    pass<&Methods::xCheckReservedLock, int*>,
    pass<&Methods::xFileControl, int, void*>,
    pass<&Methods::xSectorSize>,
    pass<&Methods::xDeviceCharacteristics>,
};

int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  sqlite3_vfs* vfs = below();
  file->pMethods = nullptr;
  if (vfs->szOsFile > kFileBytes) return SQLITE_CANTOPEN;
  if ((flags & SQLITE_OPEN_WAL) == 0) return vfs->xOpen(vfs, name, file, flags, out_flags);
  Log& log = log_of(file);
  log.file = reinterpret_cast<sqlite3_file*>(&log + 1);
  const int code = vfs->xOpen(vfs, name, log.file, flags, out_flags);
  if (code != SQLITE_OK) return code;
  log.gathered = new std::string();
  log.at = 0;
  log.base.pMethods = &kMethods;
  return SQLITE_OK;
}

template <auto Method, class... Args>
auto of_default(sqlite3_vfs*, Args... args) {
  sqlite3_vfs* vfs = below();
  return (vfs->*Method)(vfs, args...);
}

sqlite3_vfs make() {
  using Vfs = sqlite3_vfs;
  Vfs vfs{};
  vfs.iVersion = 1;
  vfs.szOsFile = static_cast<int>(sizeof(Log)) + kFileBytes;
  vfs.mxPathname = below()->mxPathname;
  vfs.zName = "orch-gathering";
  vfs.xOpen = open;
  vfs.xDelete = of_default<&Vfs::xDelete, const char*, int>;
  vfs.xAccess = of_default<&Vfs::xAccess, const char*, int, int*>;
  vfs.xFullPathname = of_default<&Vfs::xFullPathname, const char*, int, char*>;
  vfs.xRandomness = of_default<&Vfs::xRandomness, int, char*>;
  vfs.xSleep = of_default<&Vfs::xSleep, int>;
  vfs.xCurrentTime = of_default<&Vfs::xCurrentTime, double*>;
  vfs.xGetLastError = of_default<&Vfs::xGetLastError, int, char*>;
  return vfs;
}

}  // namespace

const char* gathering_vfs() {
  static sqlite3_vfs vfs = [] {
    sqlite3_initialize();
    return make();
  }();
  static const int registered = sqlite3_vfs_register(&vfs, 0);
  return registered == SQLITE_OK ? vfs.zName : nullptr;
}

}  // namespace orch::storage
