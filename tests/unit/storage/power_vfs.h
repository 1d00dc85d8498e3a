// A SQLite VFS whose disk is memory and loses power: a crash image of all files holds what was
// synced, and of what was not a random part, whole sectors of 512 bytes. While one lives it is
// SQLite's default.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

namespace orch::storage::test {

class PowerVfs {
 public:
  using Image = std::map<std::string, std::string>;  // content by file name

  // Before every change of the disk `cut()` says whether to take a crash image, which goes to
  // `take()`. Both run in the thread that writes.
  PowerVfs(unsigned seed, std::function<bool(const std::string& file)> cut,
           std::function<void(Image&&)> take);
  ~PowerVfs();

  struct Write {
    size_t offset = 0;
    std::string data;
    bool truncates = false;  // to offset
  };
  struct Disk {
    std::string now, durable;
    std::vector<Write> pending;
    void change(Write write);
  };
  std::mutex mutex;
  std::map<std::string, Disk> files;
  void changing(const std::string& file);  // mutex held

 private:
  std::mt19937 random_;
  const std::function<bool(const std::string&)> cut_;
  const std::function<void(Image&&)> take_;
};

}  // namespace orch::storage::test
