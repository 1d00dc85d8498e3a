// One stored object as the store holds it: 7 bytes of header (the splice offset in hex and a line
// feed) and the object's JSON without metadata.resourceVersion. The revision, known only at commit,
// is spliced in at the offset whenever the object goes out. Values; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "orch/api/selector.h"
#include "orch/storage/kv_store.h"

namespace orch::server {

class Stored {
 public:
  Stored() = default;
  Stored(storage::Bytes value, storage::Revision revision)
      : value_(std::move(value)), revision_(revision) {}

  // The store's value of an object's JSON. The JSON must not hold metadata.resourceVersion.
  static storage::Bytes pack(std::string_view json);

  explicit operator bool() const { return value_ != nullptr; }
  // False: not a value of ours (damaged, or written by others).
  bool well_formed() const;
  storage::Revision revision() const { return revision_; }
  std::string resource_version() const { return std::to_string(revision_); }
  const storage::Bytes& value() const { return value_; }
  // The same object as of another revision (a deletion's).
  Stored at(storage::Revision revision) const { return {value_, revision}; }

  // Without resourceVersion.
  std::string_view raw() const;
  // With it (but for an object that was not stored: a dry run's). The offset of the splice within
  // raw() is splice().
  void append_to(std::string& out) const;
  std::string json() const;
  size_t json_bytes() const;  // of json()
  size_t splice() const;
  // {...} of metadata, with resourceVersion.
  std::string metadata_json() const;

  // By scanning the bytes.
  api::Labels labels() const;
  std::optional<std::string> string_at(std::string_view path) const;

 private:
  storage::Bytes value_;
  storage::Revision revision_ = 0;
};

// JSON of `{"resourceVersion":"N"`'s splice text for an offset: `,"resourceVersion":"N"`.
std::string splice_text(std::string_view raw, size_t offset, storage::Revision revision);

}  // namespace orch::server
