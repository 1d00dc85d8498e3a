#include "agent/storage/project_quota.h"

#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/quota.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "orch/base/file.h"
#include "orch/base/strings.h"

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif

namespace orch::agent {
namespace {

constexpr int kProjectQuota = 2;              // PRJQUOTA of the kernel's quota.h
constexpr uint64_t kBlock = 1024;             // unit of dqb_bhardlimit
constexpr uint32_t kFirstProject = 1u << 30;  // far from the small numbers people give out
constexpr int kProbesMax = 256;

// The device a file system is mounted from, for kernels before 5.14.
std::string device_of(int fd) {
  struct stat st {};
  auto text = read_file("/proc/self/mountinfo");
  if (::fstat(fd, &st) != 0 || !text) return "";
  const std::string wanted = fmt::format("{}:{}", major(st.st_dev), minor(st.st_dev));
  for (const auto& line : split(*text, '\n')) {
    const auto fields = split(line, ' ');
    if (fields.size() < 10 || fields[2] != wanted) continue;
    for (size_t i = 6; i + 2 < fields.size(); ++i) {
      if (fields[i] == "-") return fields[i + 2];
    }
  }
  return "";
}

bool quota_call(int command, int fd, uint32_t project, dqblk& block) {
  const auto full = static_cast<unsigned>(QCMD(command, kProjectQuota));
  if (::syscall(SYS_quotactl_fd, fd, full, project, &block) == 0) return true;
  if (errno != ENOSYS) return false;
  const std::string device = device_of(fd);
  return !device.empty() && ::syscall(SYS_quotactl, full, device.c_str(), project, &block) == 0;
}

bool set_limit(int fd, uint32_t project, uint64_t bytes) {
  dqblk block{};
  block.dqb_bhardlimit = (bytes + kBlock - 1) / kBlock;
  block.dqb_valid = QIF_BLIMITS;
  return quota_call(Q_SETQUOTA, fd, project, block);
}

// A number nobody uses; nullopt: no quota here.
std::optional<uint32_t> free_project(int fd, const std::string& name) {
  const uint32_t start = fnv1a32(name) % kFirstProject;
  for (uint32_t i = 0; i < kProbesMax; ++i) {
    const uint32_t project = kFirstProject + (start + i) % kFirstProject;
    dqblk block{};
    if (!quota_call(Q_GETQUOTA, fd, project, block)) {
      if (errno == ENOENT) return project;
      return std::nullopt;
    }
    if (block.dqb_bhardlimit == 0 && block.dqb_curspace == 0 && block.dqb_curinodes == 0) {
      return project;
    }
  }
  return std::nullopt;
}

}  // namespace

uint32_t project_of(int directory) {
  fsxattr attributes{};
  if (::ioctl(directory, FS_IOC_FSGETXATTR, &attributes) != 0) return 0;
  return attributes.fsx_projid >= kFirstProject ? attributes.fsx_projid : 0;
}

bool limit_directory(int directory, const std::string& name, uint64_t bytes) {
  if (uint32_t known = project_of(directory); known != 0) return set_limit(directory, known, bytes);
  const auto project = free_project(directory, name);
  if (!project || !set_limit(directory, *project, bytes)) return false;
  fsxattr attributes{};
  if (::ioctl(directory, FS_IOC_FSGETXATTR, &attributes) != 0) return false;
  attributes.fsx_projid = *project;
  attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  return ::ioctl(directory, FS_IOC_FSSETXATTR, &attributes) == 0;
}

void release_project(int any_of_file_system, uint32_t project) {
  if (project != 0) (void)set_limit(any_of_file_system, project, 0);
}

}  // namespace orch::agent
