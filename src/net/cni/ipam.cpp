#include "net/cni/ipam.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "orch/base/file.h"
#include "orch/base/strings.h"

namespace orch::net {

namespace {

constexpr long kNamespaceFs = 0x6e736673;  // NSFS_MAGIC
constexpr long kProcFs = 0x9fa0;           // PROC_SUPER_MAGIC

NetError file_error(const std::string& path) {
  return fmt::format("{}: {}", path, std::strerror(errno));
}

}  // namespace

bool netns_exists(const std::string& path) {
  struct statfs info {};
  if (statfs(path.c_str(), &info) != 0) return false;
  return info.f_type == kNamespaceFs || info.f_type == kProcFs;
}

AddressPool::AddressPool(std::string dir, Ipv4Prefix range, int lock)
    : dir_(std::move(dir)), range_(range), lock_(lock) {}

AddressPool::~AddressPool() { close(lock_); }

Result<std::unique_ptr<AddressPool>, NetError> AddressPool::open(const std::string& dir,
                                                                 Ipv4Prefix range) {
  ORCH_CHECK(make_directories(dir, 0700));
  std::string path = dir + "/lock";
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return Err(file_error(path));
  while (flock(fd, LOCK_EX) != 0) {
    if (errno == EINTR) continue;
    NetError error = file_error(path);
    close(fd);
    return Err(std::move(error));
  }
  return std::unique_ptr<AddressPool>(new AddressPool(dir, range, fd));
}

std::string AddressPool::file_of(uint32_t address) const {
  return dir_ + "/" + format_ipv4(address);
}

Result<std::vector<Reservation>, NetError> AddressPool::list() const {
  std::vector<Reservation> found;
  DIR* dir = opendir(dir_.c_str());
  if (!dir) return Err(file_error(dir_));
  while (const dirent* entry = readdir(dir)) {
    auto address = parse_ipv4(entry->d_name);
    if (!address) continue;
    auto text = read_file(dir_ + "/" + entry->d_name);
    if (!text) continue;
    auto lines = split(*text, '\n');
    // The last line is there only when all was written.
    if (lines.size() < 4 || lines[3] != "end") continue;
    found.push_back({*address, lines[0], lines[1], lines[2]});
  }
  closedir(dir);
  return found;
}

Result<Unit, NetError> AddressPool::write_reservation(uint32_t address, const Reservation& wanted) {
  std::string path = file_of(address);
  std::string text =
      fmt::format("{}\n{}\n{}\nend\n", wanted.container, wanted.interface, wanted.netns);
  // Under the lock, so an existing file is one torn by a kill. No fsync: after a power failure
  // there are no pods either.
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return Err(file_error(path));
  ssize_t written = write(fd, text.data(), text.size());
  int reason = written < 0 ? errno : ENOSPC;
  close(fd);
  if (written == static_cast<ssize_t>(text.size())) return Unit{};
  unlink(path.c_str());
  errno = reason;
  return Err(file_error(path));
}

Result<uint32_t, NetError> AddressPool::reserve(const Reservation& wanted,
                                                const std::function<void(uint32_t)>& reclaimed) {
  ORCH_TRY(auto held, list());
  std::set<uint32_t> taken;
  for (const Reservation& one : held) {
    if (one.container == wanted.container && one.interface == wanted.interface &&
        range_.contains(one.address)) {
      ORCH_CHECK(write_reservation(one.address, wanted));
      return one.address;
    }
    taken.insert(one.address);
  }
  const uint32_t first = range_.network() + 2;  // after the gateway
  const uint32_t last = (range_.network() | ~range_.mask()) - 1;
  // Rotation keeps an address that was just freed out of use for as long as there are others.
  uint32_t start = first;
  if (auto text = read_file(dir_ + "/last")) {
    auto before = parse_ipv4(trim(*text));
    if (before && *before >= first && *before < last) start = *before + 1;
  }
  for (int round = 0; round < 2; ++round) {
    for (uint32_t i = 0; i <= last - first; ++i) {
      uint32_t address = first + (start - first + i) % (last - first + 1);
      if (taken.count(address)) continue;
      ORCH_CHECK(write_reservation(address, wanted));
      // Only a hint: torn or missing, rotation starts over.
      int fd = ::open((dir_ + "/last").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
      std::string text = format_ipv4(address);
      if (fd >= 0) {
        (void)!write(fd, text.data(), text.size());
        close(fd);
      }
      return address;
    }
    for (const Reservation& one : held) {
      if (netns_exists(one.netns) || unlink(file_of(one.address).c_str()) != 0) continue;
      taken.erase(one.address);
      reclaimed(one.address);
    }
  }
  return Err(fmt::format("no free address in {} ({} in use)", format_prefix(range_), taken.size()));
}

Result<std::vector<uint32_t>, NetError> AddressPool::release(const std::string& container,
                                                             const std::string& interface) {
  ORCH_TRY(auto held, list());
  std::vector<uint32_t> freed;
  for (const Reservation& one : held) {
    if (one.container != container || one.interface != interface) continue;
    if (unlink(file_of(one.address).c_str()) != 0 && errno != ENOENT) {
      return Err(file_error(file_of(one.address)));
    }
    freed.push_back(one.address);
  }
  return freed;
}

}  // namespace orch::net
