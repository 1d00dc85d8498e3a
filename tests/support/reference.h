// Where the reference data of the interfaces lies, for tests that compare with it.
#pragma once

#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

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

// The rows of a table below its head, each with `width` cells.
inline std::vector<std::vector<std::string>> read_table(const std::filesystem::path& path,
                                                        size_t width) {
  std::vector<std::vector<std::string>> out;
  std::istringstream lines(read_whole(path));
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    auto& row = out.emplace_back(1);
    for (char c : line) {
      if (c == '\t') {
        row.emplace_back();
      } else {
        row.back() += c;
      }
    }
    row.resize(width);
  }
  return out;
}

}  // namespace orch::test
