#include "agent/pod/leftovers.h"

#include <cctype>

namespace orch::agent {

std::string reserved_by(std::string_view error) {
  constexpr std::string_view kMark = "is reserved for ";
  size_t at = error.find(kMark);
  if (at == std::string_view::npos) return "";
  error.remove_prefix(at + kMark.size());
  std::string id;
  for (char c : error) {
    if (std::isxdigit(static_cast<unsigned char>(c)) != 0) {
      id += c;
    } else if (!id.empty() || c != '"') {
      break;
    }
  }
  return id.size() >= 12 ? id : "";
}

}  // namespace orch::agent
