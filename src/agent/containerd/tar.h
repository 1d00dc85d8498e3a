// Writes ustar archives in memory: enough for the images orch builds itself.
#pragma once

#include <string>
#include <string_view>

namespace orch::agent {

class TarWriter {
 public:
  // name: up to 100 bytes, relative. mode: permission bits.
  void add_file(std::string_view name, std::string_view content, unsigned mode = 0644);
  void add_directory(std::string_view name, unsigned mode = 0755);
  // The archive with its end mark; the writer is empty afterwards.
  std::string finish();

 private:
  void add_header(std::string_view name, size_t size, unsigned mode, char type);
  std::string out_;
};

}  // namespace orch::agent
