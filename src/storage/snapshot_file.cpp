#include "orch/storage/snapshot_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>

#include "orch/base/crypto.h"
#include "orch/base/file.h"
#include "storage/errors.h"

namespace orch::storage {
namespace {

constexpr int kLevel = 3;
constexpr std::string_view kZstdMagic = "\x28\xb5\x2f\xfd";

Error unavailable(std::string message) {
  return Error{ErrorCode::kUnavailable, std::move(message)};
}

// A file under way: gone unless it was finished.
class Output {
 public:
  explicit Output(std::string path)
      : path_(std::move(path)), part_(fmt::format("{}.part{}", path_, ::getpid())) {}
  ~Output() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(part_.c_str());
  }
  Output(const Output&) = delete;

  bool open() {
    ::unlink(part_.c_str());
    fd_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd_ >= 0;
  }
  bool write(std::string_view bytes) {
    written_ += static_cast<int64_t>(bytes.size());
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  StoreResult<Unit> finish() {
    if (::fsync(fd_) != 0) return Err(error());
    if (::rename(part_.c_str(), path_.c_str()) != 0) return Err(error());
    ::close(fd_);
    fd_ = -1;
    return sync_directory(parent_directory(path_));
  }
  Error error() const {
    const int code = errno;
    return Error{code == ENOSPC ? ErrorCode::kNoSpace : ErrorCode::kUnavailable,
                 fmt::format("{}: {}", part_, std::strerror(code))};
  }
  int64_t written() const { return written_; }

 private:
  const std::string path_, part_;
  int fd_ = -1;
  int64_t written_ = 0;
};

class Compressor {
 public:
  explicit Compressor(Output& to) : to_(to), context_(ZSTD_createCCtx()) {
    ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel, kLevel);
    ZSTD_CCtx_setParameter(context_, ZSTD_c_checksumFlag, 1);
    buffer_.resize(ZSTD_CStreamOutSize());
  }
  ~Compressor() { ZSTD_freeCCtx(context_); }
  Compressor(const Compressor&) = delete;

  bool add(std::string_view bytes, bool last) {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    for (;;) {
      ZSTD_outBuffer out{buffer_.data(), buffer_.size(), 0};
      const size_t left =
          ZSTD_compressStream2(context_, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
      if (ZSTD_isError(left)) {
        errno = ENOMEM;
        return false;
      }
      if (!to_.write(std::string_view(buffer_).substr(0, out.pos))) return false;
      if (last ? left == 0 : in.pos == in.size) return true;
    }
  }

 private:
  Output& to_;
  ZSTD_CCtx* context_;
  std::string buffer_;
};

StoreResult<std::string> decompress(std::string_view packed) {
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  const std::unique_ptr<ZSTD_DCtx, Free> context(ZSTD_createDCtx());
  std::string out, buffer(ZSTD_DStreamOutSize(), '\0');
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  size_t left = 1;
  while (in.pos < in.size) {
    ZSTD_outBuffer to{buffer.data(), buffer.size(), 0};
    left = ZSTD_decompressStream(context.get(), &to, &in);
    if (ZSTD_isError(left)) {
      return Err(Error{ErrorCode::kCorrupt,
                       fmt::format("the file is damaged (zstd: {})", ZSTD_getErrorName(left))});
    }
    out.append(buffer, 0, to.pos);
    if (left == 0) break;
  }
  if (left != 0 || in.pos != in.size) {
    return Err(Error{ErrorCode::kCorrupt, "the file is damaged: it does not end where it should"});
  }
  return out;
}

}  // namespace

StoreResult<int64_t> write_snapshot_file(const std::string& path, SnapshotContent content,
                                         bool compress) {
  if (auto made = make_directories(parent_directory(path), 0700); !made) {
    return Err(unavailable(made.error()));
  }
  const EtcdSnapshot snapshot(std::move(content));
  Output output(path);
  if (!output.open()) return Err(output.error());
  bool written = false;
  if (compress) {
    Compressor compressor(output);
    written = snapshot.write([&](std::string_view portion) {
      return compressor.add(portion, false);
    }) && compressor.add("", true);
  } else {
    written = snapshot.write([&](std::string_view portion) { return output.write(portion); });
  }
  if (!written) return Err(output.error());
  ORCH_CHECK(output.finish());
  return output.written();
}

StoreResult<SnapshotContent> read_snapshot_file(const std::string& path, bool checksum_required) {
  auto file = read_file(path);
  if (!file) return Err(unavailable(file.error()));
  const auto named = [&](Error error) {
    error.message = fmt::format("{}: {}", path, error.message);
    return Err(std::move(error));
  };
  if (file->starts_with(kZstdMagic)) {
    auto plain = decompress(*file);
    if (!plain) return named(plain.error());
    *file = std::move(*plain);
  }
  if (checksum_required && file->size() % 512 != kSha256Bytes) {
    return named({ErrorCode::kCorrupt,
                  "it does not end with a checksum: it is cut off, or no snapshot (for a database "
                  "file of etcd's own directory see --skip-hash-check)"});
  }
  auto content = parse_etcd_snapshot(*file);
  if (!content) return named(content.error());
  return content;
}

}  // namespace orch::storage
