#include "net/http/gzip.h"

#include <zlib.h>

#include "orch/base/assert.h"
#include "orch/base/strings.h"

namespace orch::net {
namespace {

constexpr size_t kGzipFromBytes = 128 * 1024;
constexpr size_t kOutBytes = 256 * 1024;

bool accepts_gzip(const Headers& headers) {
  auto [first, last] = headers.equal_range("Accept-Encoding");
  for (; first != last; ++first) {
    for (const std::string& coding : split(first->second, ',')) {
      std::vector<std::string> parts = split(coding, ';');
      if (parts.empty() || !iequals(trim(parts[0]), "gzip")) continue;
      std::string_view weight = parts.size() > 1 ? trim(parts[1]) : std::string_view();
      return weight != "q=0" && weight != "q=0.0";
    }
  }
  return false;
}

class Deflater {
 public:
  Deflater() { ok_ = deflateInit2(&z_, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK; }
  ~Deflater() { deflateEnd(&z_); }
  bool usable() const { return ok_; }  // false: no memory
  bool feed(const std::string& bytes, bool last) {
    z_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    z_.avail_in = static_cast<uInt>(bytes.size());
    int result = Z_OK;
    do {
      if (z_.avail_out == 0) grow();
      result = deflate(&z_, last ? Z_FINISH : Z_NO_FLUSH);
      ok_ = ok_ && result != Z_STREAM_ERROR;
    } while (ok_ && (z_.avail_in > 0 || (last && result != Z_STREAM_END)));
    return ok_;
  }
  std::vector<std::shared_ptr<const std::string>> take() {
    if (current_) current_->resize(current_->size() - z_.avail_out);
    if (current_) done_.push_back(std::move(current_));
    return std::move(done_);
  }

 private:
  void grow() {
    if (current_) done_.push_back(std::move(current_));
    current_ = std::make_shared<std::string>(kOutBytes, '\0');
    z_.next_out = reinterpret_cast<Bytef*>(current_->data());
    z_.avail_out = static_cast<uInt>(kOutBytes);
  }
  z_stream z_{};
  bool ok_ = false;
  std::shared_ptr<std::string> current_;
  std::vector<std::shared_ptr<const std::string>> done_;
};

}  // namespace

void gzip_response(const Headers& request_headers, HttpResponse& response) {
  size_t total = response.body.size();
  for (const auto& piece : response.pieces) total += piece->size();
  total += response.tail.bytes;
  if (total <= kGzipFromBytes || response.headers.contains("Content-Encoding") ||
      !accepts_gzip(request_headers)) {
    return;
  }
  Deflater deflater;
  if (!deflater.usable()) return;
  bool ok = deflater.feed(response.body, false);
  for (const auto& piece : response.pieces) ok = ok && deflater.feed(*piece, false);
  for (size_t left = response.tail.bytes; left > 0;) {
    const std::string part = response.tail.next();
    ok = ok && deflater.feed(part, false);
    left -= part.size();
  }
  ORCH_ASSERT(deflater.feed("", true) && ok);
  response.body.clear();
  response.tail = {};
  response.pieces = deflater.take();
  response.set("Content-Encoding", "gzip");
  response.set("Vary", "Accept-Encoding");
}

}  // namespace orch::net
