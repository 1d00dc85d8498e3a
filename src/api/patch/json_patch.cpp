// RFC 6902, with the limits and the index rules (negative counts from the end) of upstream.
#include <fmt/format.h>

#include "api/patch/json.h"
#include "api/patch/merge_json.h"
#include "orch/api/patch.h"
#include "orch/base/strings.h"

namespace orch::api {
namespace {

using doc::Arena;
using doc::Member;
using doc::Value;

constexpr size_t kFindingsMax = 100;
constexpr size_t kOperationsMax = 10'000;
constexpr size_t kCopyBytesMax = 3 * 1024 * 1024;

// Every failure to apply is answered alike, without detail.
Error does_not_apply() { return generic_server_response(422); }

// Upstream reads a patch strictly first, unless findings are ignored, and says so.
Error undecodable(std::string_view why, bool strict) {
  return bad_request(fmt::format("{}{}", strict ? "error decoding patch: " : "", why));
}
Error wrong_type(const Value& value, bool strict, std::string_view strict_type,
                 std::string_view type) {
  return undecodable(fmt::format("json: cannot unmarshal {} into Go value of type {}",
                                 doc::go_kind(value), strict ? strict_type : type),
                     strict);
}

ApiResult<Unit> check_operation(const Value& operation, size_t index,
                                std::vector<std::string>* findings) {
  const bool strict = findings != nullptr;
  if (!operation.is_object()) {
    return Err(wrong_type(operation, strict, "handlers.jsonPatchOp", "jsonpatch.Operation"));
  }
  for (const Member& member : operation.items) {
    if (member.key == "value") continue;
    if (member.key != "op" && member.key != "path" && member.key != "from") {
      if (findings != nullptr && findings->size() < kFindingsMax) {
        findings->push_back(fmt::format("json patch unknown field \"[{}].{}\"", index, member.key));
      }
    } else if (!member.value.is_string() && !member.value.is_null()) {
      return Err(undecodable(fmt::format("json: cannot unmarshal {} into Go struct field "
                                         "jsonPatchOp.{} of type string",
                                         doc::go_kind(member.value), member.key),
                             strict));
    }
  }
  return Unit{};
}

struct Pointer {
  std::vector<std::string> tokens;
  bool valid = false;
};

Pointer parse_pointer(std::string_view text) {
  Pointer pointer;
  if (text.empty()) {
    pointer.valid = true;
    return pointer;
  }
  if (text[0] != '/') return pointer;
  std::string token;
  for (size_t i = 1; i <= text.size(); ++i) {
    if (i == text.size() || text[i] == '/') {
      pointer.tokens.push_back(std::move(token));
      token.clear();
    } else if (text[i] == '~' && i + 1 < text.size() &&
               (text[i + 1] == '0' || text[i + 1] == '1')) {
      token += text[++i] == '0' ? '~' : '/';
    } else {
      token += text[i];
    }
  }
  pointer.valid = true;
  return pointer;
}

// An index into `size` places; nullopt when out of range or no number.
std::optional<size_t> parse_index(std::string_view token, size_t size) {
  auto index = parse_int(token);
  if (!index) return std::nullopt;
  if (*index < 0) *index += static_cast<int64_t>(size);
  if (*index < 0 || *index >= static_cast<int64_t>(size)) return std::nullopt;
  return static_cast<size_t>(*index);
}

Value* child(Value& parent, std::string_view token) {
  if (parent.is_object()) return parent.find(token);
  if (!parent.is_array()) return nullptr;
  auto index = parse_index(token, parent.size());
  return index ? &parent.items[*index].value : nullptr;
}

class Patcher {
 public:
  Patcher(Value& root, Arena& arena) : root_(root), arena_(arena) {}

  ApiResult<Unit> apply(const Value& operation) {
    std::string_view op = operation.string_at("op");
    Pointer path = parse_pointer(operation.string_at("path"));
    const Value* value = operation.find("value");
    if (!path.valid) return Err(does_not_apply());
    if (op == "add") return value ? add(path, *value) : Err(does_not_apply());
    if (op == "replace") return value ? replace(path, *value) : Err(does_not_apply());
    if (op == "remove") return remove(path);
    if (op == "test") return test(path, value);
    if (op != "copy" && op != "move") return Err(does_not_apply());
    Pointer from = parse_pointer(operation.string_at("from"));
    Value* source = from.valid ? find(from) : nullptr;
    if (source == nullptr) return Err(does_not_apply());
    return op == "copy" ? copy(*source, path) : move(from, path);
  }

 private:
  Value* find(const Pointer& path, size_t skip_last = 0) {
    Value* at = &root_;
    for (size_t i = 0; i + skip_last < path.tokens.size() && at != nullptr; ++i) {
      at = child(*at, path.tokens[i]);
    }
    return at;
  }

  ApiResult<Unit> add(const Pointer& path, Value value) {
    // Repeated additions must not build what the parser would have refused.
    if (path.tokens.size() + static_cast<size_t>(doc::depth(value)) > doc::kDepthMax) {
      return Err(does_not_apply());
    }
    if (path.tokens.empty()) {
      root_ = std::move(value);
      return Unit{};
    }
    Value* parent = find(path, 1);
    if (parent == nullptr) return Err(does_not_apply());
    const std::string& token = path.tokens.back();
    if (parent->is_object()) {
      if (Value* there = parent->find(token)) {
        *there = std::move(value);
      } else {
        parent->at(arena_.keep(token)) = std::move(value);
      }
      return Unit{};
    }
    if (!parent->is_array()) return Err(does_not_apply());
    auto index = token == "-" ? parent->size() : parse_index(token, parent->size() + 1);
    if (!index) return Err(does_not_apply());
    parent->items.insert(parent->items.begin() + static_cast<ptrdiff_t>(*index),
                         Member{{}, std::move(value)});
    return Unit{};
  }

  ApiResult<Unit> replace(const Pointer& path, const Value& value) {
    Value* target = find(path);
    if (target == nullptr) return Err(does_not_apply());
    if (path.tokens.size() + static_cast<size_t>(doc::depth(value)) > doc::kDepthMax) {
      return Err(does_not_apply());
    }
    *target = value;
    return Unit{};
  }

  ApiResult<Unit> remove(const Pointer& path) {
    Value* parent = path.tokens.empty() ? nullptr : find(path, 1);
    if (parent == nullptr) return Err(does_not_apply());
    const std::string& token = path.tokens.back();
    if (parent->is_object()) {
      if (!parent->erase(token)) return Err(does_not_apply());
      return Unit{};
    }
    auto index = parent->is_array() ? parse_index(token, parent->size()) : std::nullopt;
    if (!index) return Err(does_not_apply());
    parent->items.erase(parent->items.begin() + static_cast<ptrdiff_t>(*index));
    return Unit{};
  }

  // A missing target equals null.
  ApiResult<Unit> test(const Pointer& path, const Value* expected) {
    const Value null;
    if (expected == nullptr) expected = &null;
    const Value* actual = find(path);
    if (actual == nullptr) actual = &null;
    if (!doc::same(*actual, *expected)) return Err(does_not_apply());
    return Unit{};
  }

  ApiResult<Unit> copy(const Value& source, const Pointer& path) {
    copied_bytes_ += doc::text_size(source);
    if (copied_bytes_ > kCopyBytesMax) return Err(does_not_apply());
    return add(path, source);
  }

  ApiResult<Unit> move(const Pointer& from, const Pointer& path) {
    Value taken = *find(from);
    ORCH_CHECK(remove(from));
    return add(path, std::move(taken));
  }

  Value& root_;
  Arena& arena_;
  size_t copied_bytes_ = 0;
};

}  // namespace

ApiResult<std::string> json_patch(std::string_view document, std::string_view patch,
                                  std::vector<std::string>* findings) {
  Arena arena;
  std::vector<std::string> duplicates;
  auto operations = doc::parse(patch, arena, findings != nullptr ? &duplicates : nullptr);
  const bool strict = findings != nullptr;
  if (!operations) return Err(undecodable(operations.error().message, strict));
  if (!operations->is_array()) {
    return Err(wrong_type(*operations, strict, "[]handlers.jsonPatchOp", "jsonpatch.Patch"));
  }
  if (operations->size() > kOperationsMax) {
    return Err(request_entity_too_large(
        fmt::format("The allowed maximum operations in a JSON patch is {}, got {}", kOperationsMax,
                    operations->size())));
  }
  for (size_t i = 0; i < operations->size(); ++i) {
    ORCH_CHECK(check_operation(operations->items[i].value, i, findings));
  }
  if (findings != nullptr) {
    for (const std::string& found : duplicates) findings->push_back("json patch " + found);
  }
  auto root = doc::parse(document, arena);
  if (!root) return Err(internal_error(root.error().message));
  Patcher patcher(*root, arena);
  for (const Member& operation : operations->items) ORCH_CHECK(patcher.apply(operation.value));
  std::string out;
  out.reserve(document.size() + patch.size());
  doc::write(*root, out);
  return out;
}

}  // namespace orch::api
