// Where the reference data of the interfaces lies, for tests that compare with it.
#pragma once

#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

namespace orch::test {

// ../shared/reference beside the source tree; nullopt where there is none. The source tree is
// found upward from the working folder, or from this file.
inline std::optional<std::filesystem::path> reference_dir() {
  namespace fs = std::filesystem;
  for (fs::path start : {fs::current_path(), fs::path(__FILE__).parent_path()}) {
    for (fs::path dir = start; !dir.empty(); dir = dir.parent_path()) {
      if (fs::exists(dir / "CMakePresets.json")) {
        if (fs::path found = dir.parent_path() / "shared/reference"; fs::exists(found))
          return found;
      }
      if (dir == dir.root_path()) break;
    }
  }
  return std::nullopt;
}

inline std::string read_whole(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

}  // namespace orch::test
