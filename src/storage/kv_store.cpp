#include "orch/storage/kv_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "storage/errors.h"

namespace orch::storage {

Op Op::put(std::string key, Bytes value, LeaseId lease) {
  Op op;
  op.type = Type::kPut;
  op.key = std::move(key);
  op.value = std::move(value);
  op.lease = lease;
  return op;
}

Op Op::erase(std::string key, std::string range_end) {
  Op op;
  op.type = Type::kDelete;
  op.range.key = std::move(key);
  op.range.range_end = std::move(range_end);
  return op;
}

Op Op::get(RangeRequest range) {
  Op op;
  op.type = Type::kRange;
  op.range = std::move(range);
  return op;
}

std::string prefix_end(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty()) {
    if (static_cast<unsigned char>(end.back()) != 0xff) {
      end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
      return end;
    }
    end.pop_back();
  }
  return std::string(1, '\0');  // no upper bound
}

Error compacted_error(Revision asked, Revision compacted) {
  return Error{
      ErrorCode::kCompacted,
      fmt::format("required revision {} has been compacted (oldest kept: {})", asked, compacted),
      compacted};
}

Error future_error(Revision asked, Revision newest) {
  return Error{
      ErrorCode::kFutureRev,
      fmt::format("required revision {} is a future revision (newest: {})", asked, newest)};
}

Error lease_not_found(LeaseId id) {
  return Error{ErrorCode::kLeaseNotFound, fmt::format("requested lease {:x} not found", id)};
}

Error stopped_error() { return Error{ErrorCode::kUnavailable, "the store is stopped"}; }

StoreResult<Unit> sync_directory(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (synced) return Unit{};
  return Err(
      Error{ErrorCode::kUnavailable, fmt::format("{}: {}", directory, std::strerror(error))});
}

std::string parent_directory(const std::string& path) {
  return std::filesystem::absolute(path).parent_path();
}

}  // namespace orch::storage
