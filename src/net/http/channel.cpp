#include "net/http/channel.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "orch/base/strings.h"

namespace orch::net {
namespace {

// Between TLS and the socket. Records leave in the order they were made in.
struct Wire {
  int fd;
  std::string* corked = nullptr;
  std::string waiting;  // made, but not taken by the socket
  size_t sent = 0;      // of `waiting`
};

// OpenSSL's own socket BIO writes with write(), which raises SIGPIPE.
Wire& wire_of(BIO* bio) { return *static_cast<Wire*>(BIO_get_data(bio)); }
int socket_of(BIO* bio) { return wire_of(bio).fd; }

bool is_retry(int error) { return error == EAGAIN || error == EINTR; }

int bio_write(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  Wire& wire = wire_of(bio);
  if (std::string* later = wire.corked            ? wire.corked
                           : wire.waiting.empty() ? nullptr
                                                  : &wire.waiting) {
    later->append(data, static_cast<size_t>(size));
    return size;
  }
  ssize_t put = ::send(wire.fd, data, static_cast<size_t>(size), MSG_NOSIGNAL);
  if (put < 0 && is_retry(errno)) BIO_set_retry_write(bio);
  return static_cast<int>(put);
}

int bio_read(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  ssize_t got = ::recv(socket_of(bio), data, static_cast<size_t>(size), 0);
  if (got < 0 && is_retry(errno)) BIO_set_retry_read(bio);
  if (got == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return static_cast<int>(got);
}

long bio_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

int bio_destroy(BIO* bio) {
  delete static_cast<Wire*>(BIO_get_data(bio));
  BIO_set_data(bio, nullptr);
  return 1;
}

BIO_METHOD* socket_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "orch socket");
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_ctrl(made, bio_control);
    BIO_meth_set_destroy(made, bio_destroy);
    return made;
  }();
  return method;
}

}  // namespace

bool attach_socket(SSL* ssl, int fd) {
  BIO* bio = BIO_new(socket_method());
  if (bio == nullptr) return false;
  BIO_set_data(bio, new Wire{fd, nullptr, {}, 0});
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  return true;
}

std::string system_error_text(int error) {
  if (error == ETIMEDOUT) return "i/o timeout";
  char text[128];
  return to_lower(strerror_r(error, text, sizeof text));
}

Channel::Channel(Channel&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), ssl_(std::move(other.ssl_)), failed_(other.failed_) {}

Channel& Channel::operator=(Channel&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    ssl_ = std::move(other.ssl_);
    failed_ = other.failed_;
  }
  return *this;
}

Io Channel::system_failure() {
  failed_ = true;
  error_ = system_error_text(errno);
  return Io::kError;
}

// What OpenSSL's non-positive result means.
Io Channel::finish(int result) {
  int saved_errno = errno;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return Io::kWantRead;
    case SSL_ERROR_WANT_WRITE:
      return Io::kWantWrite;
    case SSL_ERROR_ZERO_RETURN:
      return Io::kEnd;
    case SSL_ERROR_SYSCALL:
      failed_ = true;
      ERR_clear_error();
      if (saved_errno == 0) {
        error_ = "unexpected EOF";
        return Io::kEnd;
      }
      error_ = system_error_text(saved_errno);
      return Io::kError;
    default:
      break;
  }
  failed_ = true;
  unsigned long code = ERR_peek_error();
  int reason = ERR_GET_REASON(code);
  if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    // Peers that close without close_notify are common; message framing shows what was cut.
    ERR_clear_error();
    error_ = "unexpected EOF";
    return Io::kEnd;
  }
  plain_http_on_tls_ = reason == SSL_R_HTTP_REQUEST;
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    error_ = "tls: failed to verify certificate: " +
             verify_error_text(SSL_get_verify_result(ssl_.get()));
    ERR_clear_error();
  } else if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST) {
    error_ = "tls: first record does not look like a TLS handshake";
    ERR_clear_error();
  } else if (reason > SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) {
    error_ =
        "remote error: tls: " + to_lower(SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
    ERR_clear_error();
  } else {
    error_ = "tls: " + openssl_error();
  }
  return Io::kError;
}

Io Channel::handshake() {
  if (!ssl_) return Io::kOk;
  ERR_clear_error();
  errno = 0;
  int result = SSL_do_handshake(ssl_.get());
  return result == 1 ? Io::kOk : finish(result);
}

Io Channel::read(char* buffer, size_t size, size_t& got) {
  got = 0;
  if (ssl_) {
    ERR_clear_error();
    errno = 0;
    int result = SSL_read_ex(ssl_.get(), buffer, size, &got);
    return result == 1 ? Io::kOk : finish(result);
  }
  ssize_t result = ::recv(fd_, buffer, size, 0);
  if (result > 0) {
    got = static_cast<size_t>(result);
    return Io::kOk;
  }
  if (result == 0) return Io::kEnd;
  return errno == EAGAIN || errno == EINTR ? Io::kWantRead : system_failure();
}

Io Channel::write(const char* data, size_t size, size_t& put) {
  put = 0;
  if (ssl_) {
    ERR_clear_error();
    errno = 0;
    int result = SSL_write_ex(ssl_.get(), data, size, &put);
    return result == 1 ? Io::kOk : finish(result);
  }
  ssize_t result = ::send(fd_, data, size, MSG_NOSIGNAL);
  if (result >= 0) {
    put = static_cast<size_t>(result);
    return Io::kOk;
  }
  return errno == EAGAIN || errno == EINTR ? Io::kWantWrite : system_failure();
}

void Channel::cork(std::string& wire) {
  wire.clear();
  if (ssl_) wire_of(SSL_get_wbio(ssl_.get())).corked = &wire;
}

Io Channel::uncork() {
  if (!ssl_) return Io::kOk;
  Wire& wire = wire_of(SSL_get_wbio(ssl_.get()));
  const std::string* made = std::exchange(wire.corked, nullptr);
  if (made == nullptr || made->empty()) return Io::kOk;
  size_t sent = 0;
  if (wire.waiting.empty()) {
    const ssize_t put = ::send(wire.fd, made->data(), made->size(), MSG_NOSIGNAL);
    if (put < 0 && !is_retry(errno)) return system_failure();
    sent = put < 0 ? 0 : static_cast<size_t>(put);
    if (sent == made->size()) return Io::kOk;
  }
  wire.waiting.append(*made, sent);
  return flush();
}

Io Channel::flush() {
  if (!ssl_) return Io::kOk;
  Wire& wire = wire_of(SSL_get_wbio(ssl_.get()));
  while (wire.sent < wire.waiting.size()) {
    const ssize_t put = ::send(wire.fd, wire.waiting.data() + wire.sent,
                               wire.waiting.size() - wire.sent, MSG_NOSIGNAL);
    if (put < 0) return is_retry(errno) ? Io::kWantWrite : system_failure();
    wire.sent += static_cast<size_t>(put);
  }
  if (!wire.waiting.empty()) std::string().swap(wire.waiting);
  wire.sent = 0;
  return Io::kOk;
}

void Channel::end_write() {
  if (fd_ < 0) return;
  if (ssl_) {
    if (!failed_ && SSL_is_init_finished(ssl_.get())) {
      ERR_clear_error();
      SSL_shutdown(ssl_.get());
      ERR_clear_error();
    }
  }
  // The close_notify is queued in the kernel before the FIN.
  ::shutdown(fd_, SHUT_WR);
}

void Channel::shutdown() {
  if (fd_ >= 0) ::shutdown(fd_, SHUT_RDWR);
}

void Channel::close() {
  ssl_.reset();
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

}  // namespace orch::net
