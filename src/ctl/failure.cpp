#include "ctl/failure.h"

#include <fmt/format.h>

namespace orch::ctl {

Failure error(std::string_view text) { return {fmt::format("error: {}", text), 1, ""}; }

Failure server_failure(const api::Error& error, std::string_view doing) {
  std::string message;
  if (error.reason == "Invalid") {
    message = error.kind.empty() ? "The request is invalid"
                                 : fmt::format("The {} \"{}\" is invalid", error.kind, error.name);
    if (error.causes.empty()) message += ": " + error.message;
    if (error.causes.size() == 1) {
      message += fmt::format(": {}: {}", error.causes[0].field, error.causes[0].message);
    } else if (!error.causes.empty()) {
      message += ": ";
      for (const auto& cause : error.causes) {
        message += fmt::format("\n* {}: {}", cause.field, cause.message);
      }
    }
  } else if (error.reason == "Unauthorized" && doing.empty()) {
    message = "error: You must be logged in to the server (Unauthorized)";
  } else {
    message = error.reason.empty() ? "Error from server: "
                                   : fmt::format("Error from server ({}): ", error.reason);
    if (!doing.empty()) message += fmt::format("{}: ", doing);
    message += error.message;
  }
  return {std::move(message), 1, error.reason};
}

Failure unreachable(std::string_view server, std::string_view cause) {
  if (cause.find("refused") != std::string_view::npos) {
    return {fmt::format("The connection to the server {} was refused - did you specify the right "
                        "host or port?",
                        server),
            1, ""};
  }
  return {fmt::format("Unable to connect to the server: {}", cause), 1, ""};
}

}  // namespace orch::ctl
