// A SQLite VFS over the default one: what SQLite writes to a write-ahead log piece by piece (a
// commit of one object is four frames in eight pieces) reaches the system in one call, at the
// latest when the log is synced, read, measured or cut. All other files are the default's own.
//
// The error of such a call is the answer to what made it go out. A commit is acknowledged after the
// sync only, so that it fails whole.
#pragma once

namespace orch::storage {

// Its name, for sqlite3_open_v2(). Any thread.
const char* gathering_vfs();

}  // namespace orch::storage
