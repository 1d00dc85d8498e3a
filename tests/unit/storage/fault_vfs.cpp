#include "unit/storage/fault_vfs.h"

#include <sqlite3.h>

#include <cstring>

namespace orch::storage::test {

namespace {

FaultVfs* active = nullptr;
sqlite3_vfs* below = nullptr;
sqlite3_vfs shim;

struct File {
  sqlite3_file base;
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
sqlite3_file* real(sqlite3_file* file) { return reinterpret_cast<File*>(file)->real(); }

int write(sqlite3_file* file, const void* data, int bytes, sqlite3_int64 offset) {
  if (active->refuses(bytes)) {
    // Like a short write: a part may reach the file.
    const int part = bytes / 3;
    if (part > 0) real(file)->pMethods->xWrite(real(file), data, part, offset);
    return SQLITE_FULL;
  }
  return real(file)->pMethods->xWrite(real(file), data, bytes, offset);
}

int sync(sqlite3_file* file, int flags) {
  if (active->sync_fails()) return SQLITE_IOERR_FSYNC;
  return real(file)->pMethods->xSync(real(file), flags);
}

const sqlite3_io_methods kMethods = {
    1,
    [](sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); },
    [](sqlite3_file* f, void* p, int n, sqlite3_int64 o) {
      return real(f)->pMethods->xRead(real(f), p, n, o);
    },
    write,
    [](sqlite3_file* f, sqlite3_int64 n) { return real(f)->pMethods->xTruncate(real(f), n); },
    sync,
    [](sqlite3_file* f, sqlite3_int64* n) { return real(f)->pMethods->xFileSize(real(f), n); },
    [](sqlite3_file* f, int n) { return real(f)->pMethods->xLock(real(f), n); },
    [](sqlite3_file* f, int n) { return real(f)->pMethods->xUnlock(real(f), n); },
    [](sqlite3_file* f, int* n) { return real(f)->pMethods->xCheckReservedLock(real(f), n); },
    [](sqlite3_file* f, int n, void* p) { return real(f)->pMethods->xFileControl(real(f), n, p); },
    [](sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); },
    [](sqlite3_file* f) { return real(f)->pMethods->xDeviceCharacteristics(real(f)); },
};

int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  file->pMethods = nullptr;
  sqlite3_file* to = reinterpret_cast<File*>(file)->real();
  const int code = below->xOpen(below, name, to, flags, out_flags);
  if (code == SQLITE_OK) file->pMethods = &kMethods;
  return code;
}

}  // namespace

FaultVfs::FaultVfs() {
  below = sqlite3_vfs_find(nullptr);
  shim = *below;
  shim.zName = "orch-fault";
  shim.pNext = nullptr;
  shim.szOsFile = static_cast<int>(sizeof(File)) + below->szOsFile;
  shim.xOpen = open;
  active = this;
  sqlite3_vfs_register(&shim, 1);
}

FaultVfs::~FaultVfs() {
  sqlite3_vfs_unregister(&shim);
  sqlite3_vfs_register(below, 1);
  active = nullptr;
}

bool FaultVfs::refuses(long bytes) {
  if (full_) return true;
  const long space = space_;
  if (space >= 0) {
    if (bytes > space) return true;
    space_ -= bytes;
  }
  ++writes_;
  bytes_ += bytes;
  return false;
}

}  // namespace orch::storage::test
