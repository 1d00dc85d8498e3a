#include "agent/containerd/tar.h"

#include <cstdio>
#include <cstring>
#include <utility>

#include "orch/base/assert.h"

namespace orch::agent {

void TarWriter::add_header(std::string_view name, size_t size, unsigned mode, char type) {
  ORCH_ASSERT(name.size() <= 100);
  char block[512] = {};
  std::memcpy(block, name.data(), name.size());
  std::snprintf(block + 100, 8, "%07o", mode);
  std::snprintf(block + 108, 8, "%07o", 0u);
  std::snprintf(block + 116, 8, "%07o", 0u);
  std::snprintf(block + 124, 12, "%011zo", size);
  std::snprintf(block + 136, 12, "%011o", 0u);
  block[156] = type;
  std::memcpy(block + 257,
              "ustar\0"
              "00",
              8);
  std::memset(block + 148, ' ', 8);  // the checksum counts its own field as spaces
  unsigned sum = 0;
  for (char c : block) sum += static_cast<unsigned char>(c);
  std::snprintf(block + 148, 8, "%06o", sum);
  block[155] = ' ';
  out_.append(block, sizeof block);
}

void TarWriter::add_file(std::string_view name, std::string_view content, unsigned mode) {
  add_header(name, content.size(), mode, '0');
  out_.append(content);
  out_.append((512 - content.size() % 512) % 512, '\0');
}

void TarWriter::add_directory(std::string_view name, unsigned mode) {
  add_header(name, 0, mode, '5');
}

std::string TarWriter::finish() {
  out_.append(1024, '\0');
  return std::exchange(out_, {});
}

}  // namespace orch::agent
