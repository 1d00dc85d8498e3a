// Reads a configuration's JSON field by field: every field must be known and of its type, numbers
// within their bounds; what is wrong is collected with its path.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "orch/api/error.h"
#include "orch/api/json_value.h"
#include "orch/api/type_info.h"

namespace orch::server::scheduler {

// A value and where it stands.
struct At {
  api::JsonValue value;
  std::string path;
};

class ConfigReader {
 public:
  using Handler = std::function<void(const At&)>;
  using Handlers = std::vector<std::pair<std::string_view, Handler>>;

  // Calls the handler of each member; one without a handler is an error. Null is an empty object.
  void object(const At& at, const Handlers& handlers);
  // Calls `item` for each element.
  void array(const At& at, const Handler& item);
  std::string text(const At& at);
  bool boolean(const At& at);
  int64_t integer(const At& at, int64_t min, int64_t max);
  int64_t at_least(const At& at, int64_t min, std::string_view otherwise);
  // One of `allowed`; "" and an error if it is none.
  std::string choice(const At& at, const std::vector<std::string>& allowed);
  // A struct of the API, decoded strictly.
  void decode(const At& at, const api::TypeInfo& type, void* out);
  // An accepted part that nothing is done with.
  static Handler ignored() {
    return [](const At&) {};
  }

  api::FieldErrors& errors() { return errors_; }
  // "" = none; a line each.
  std::string report();

 private:
  void wrong_type(const At& at, std::string_view wanted);
  std::optional<int64_t> number(const At& at);

  api::FieldErrors errors_;
};

}  // namespace orch::server::scheduler
