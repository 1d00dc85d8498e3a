#include "net/dns/forwarder.h"

#include <algorithm>
#include <cerrno>

#include "orch/base/random.h"

namespace orch::net::dns {

namespace {

constexpr size_t kPendingMax = 4096;
constexpr size_t kWaitingMax = 256;
constexpr size_t kReplyBytesMax = 65535;

// What makes two questions equal: a reply to one is right for the other.
std::string key_of(const Query& query, bool tcp) {
  std::string key = query.question.name;
  key.push_back('\0');
  auto put16 = [&](uint16_t value) {
    key.push_back(static_cast<char>(value >> 8));
    key.push_back(static_cast<char>(value));
  };
  put16(query.question.type);
  put16(query.question.class_);
  key.push_back(tcp ? 't' : 'u');
  key.push_back(query.header.recursion_desired ? 'r' : '-');
  key.push_back(query.header.checking_disabled ? 'c' : '-');
  key.push_back(!query.edns ? '-' : query.edns->dnssec_ok ? 'd' : 'e');
  return key;
}

}  // namespace

Forwarder::Forwarder(Loop& loop, Upstreams upstreams, const Options& options)
    : loop_(loop),
      upstreams_(std::move(upstreams)),
      options_(options),
      cache_(options.cache_entries_max) {}

Forwarder::~Forwarder() {
  for (auto& [key, pending] : pending_) {
    if (pending->fd >= 0) loop_.drop(pending->fd);
  }
}

void Forwarder::resolve(const Query& query, std::string_view message, bool tcp, Time now,
                        Done done) {
  std::string key = key_of(query, tcp);
  if (auto cached = cache_.get(key, now)) return done(*cached);
  if (auto at = pending_.find(key); at != pending_.end()) {
    if (at->second->waiting.size() >= kWaitingMax) return done("");
    at->second->waiting.push_back(std::move(done));
    return;
  }
  if (pending_.size() >= kPendingMax || upstreams_.current(now).empty()) return done("");
  auto pending = std::make_unique<Pending>();
  pending->key = key;
  pending->message = std::string(message);
  pending->question = query.question;
  pending->tcp = tcp;
  pending->waiting.push_back(std::move(done));
  Pending& asked = *pending;
  pending_[key] = std::move(pending);
  ask(asked, now);
}

// Sends to the next upstream in turn; ends the question when there were enough attempts.
void Forwarder::ask(Pending& pending, Time now) {
  if (pending.fd >= 0) loop_.drop(pending.fd);
  pending.fd = -1;
  const auto& list = upstreams_.current(now);
  while (pending.attempt < options_.attempts && !list.empty()) {
    pending.asked = list[static_cast<size_t>(pending.attempt) % list.size()];
    ++pending.attempt;
    pending.id = static_cast<uint16_t>(system_random().next());
    write16(pending.message, 0, pending.id);
    pending.deadline = now + options_.timeout;
    if (open_socket(pending)) return;
  }
  std::string last = pending.last;
  finish(pending.key, last);
}

bool Forwarder::open_socket(Pending& pending) {
  int type = (pending.tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
  int fd = socket(pending.asked.storage.ss_family, type, 0);
  if (fd < 0) return false;
  // Connected: only the asked server's datagrams come in, and refusals are seen.
  if (connect(fd, pending.asked.get(), pending.asked.size) != 0 && errno != EINPROGRESS) {
    close(fd);
    return false;
  }
  if (!pending.tcp && send(fd, pending.message.data(), pending.message.size(), 0) < 0) {
    close(fd);
    return false;
  }
  pending.in.clear();
  pending.out.clear();
  if (pending.tcp) {
    pending.out.push_back(static_cast<char>(pending.message.size() >> 8));
    pending.out.push_back(static_cast<char>(pending.message.size()));
    pending.out += pending.message;
  }
  uint32_t events = EPOLLIN | (pending.tcp ? static_cast<uint32_t>(EPOLLOUT) : 0u);
  if (!loop_.watch(fd, events, [this, key = pending.key](uint32_t e) { ready(key, e); })) {
    close(fd);
    return false;
  }
  pending.fd = fd;
  return true;
}

void Forwarder::ready(const std::string& key, uint32_t events) {
  auto at = pending_.find(key);
  if (at == pending_.end()) return;
  if (at->second->tcp) {
    drive_tcp(*at->second, events);
  } else {
    read_udp(*at->second);
  }
}

void Forwarder::read_udp(Pending& pending) {
  std::string buffer(kReplyBytesMax, '\0');
  for (;;) {
    ssize_t got = recv(pending.fd, buffer.data(), buffer.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    // Nobody listens there: no need to wait for the timeout.
    if (got < 0) return ask(pending, std::chrono::steady_clock::now());
    std::string_view reply(buffer.data(), static_cast<size_t>(got));
    if (matches(pending, reply)) return take(pending, std::string(reply));
  }
}

void Forwarder::drive_tcp(Pending& pending, uint32_t events) {
  if (events & EPOLLOUT && !pending.out.empty()) {
    ssize_t sent = send(pending.fd, pending.out.data(), pending.out.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return ask(pending, std::chrono::steady_clock::now());
    if (sent > 0) pending.out.erase(0, static_cast<size_t>(sent));
    if (pending.out.empty()) loop_.change(pending.fd, EPOLLIN);
  }
  if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
  char buffer[16384];
  for (;;) {
    ssize_t got = recv(pending.fd, buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return ask(pending, std::chrono::steady_clock::now());
    pending.in.append(buffer, static_cast<size_t>(got));
    if (pending.in.size() < 2) continue;
    size_t size = read16(pending.in, 0);
    if (pending.in.size() < size + 2) continue;
    std::string reply = pending.in.substr(2, size);
    if (matches(pending, reply)) return take(pending, std::move(reply));
    return ask(pending, std::chrono::steady_clock::now());
  }
}

bool Forwarder::matches(const Pending& pending, std::string_view reply) const {
  auto header = read_header(reply);
  if (!header || !header->reply || header->id != pending.id) return false;
  auto question = read_question(reply);
  return question && question->name == pending.question.name &&
         question->type == pending.question.type && question->class_ == pending.question.class_;
}

void Forwarder::take(Pending& pending, std::string reply) {
  Time now = std::chrono::steady_clock::now();
  uint8_t rcode = read_header(reply)->rcode;
  if ((rcode == kServerFailure || rcode == kRefused) && pending.attempt < options_.attempts) {
    pending.last = std::move(reply);
    return ask(pending, now);
  }
  cache_.put(pending.key, reply, now);
  finish(pending.key, reply);
}

void Forwarder::finish(const std::string& key, const std::string& reply) {
  auto at = pending_.find(key);
  if (at == pending_.end()) return;
  std::unique_ptr<Pending> pending = std::move(at->second);
  pending_.erase(at);
  if (pending->fd >= 0) loop_.drop(pending->fd);
  for (Done& done : pending->waiting) done(reply);
}

int Forwarder::next_timeout_ms(Time now) const {
  if (pending_.empty()) return -1;
  Time first = Time::max();
  for (const auto& [key, pending] : pending_) first = std::min(first, pending->deadline);
  auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(first - now).count();
  return static_cast<int>(std::clamp<int64_t>(wait + 1, 0, 60000));
}

void Forwarder::expire(Time now) {
  std::vector<std::string> late;
  for (const auto& [key, pending] : pending_) {
    if (pending->deadline <= now) late.push_back(key);
  }
  for (const std::string& key : late) {
    if (auto at = pending_.find(key); at != pending_.end()) ask(*at->second, now);
  }
}

}  // namespace orch::net::dns
