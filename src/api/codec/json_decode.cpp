#include "api/codec/json_parser.h"
#include "api/codec/json_text.h"
#include "api/codec/struct_reader.h"
#include "orch/api/codec.h"

namespace orch::api {

namespace codec {

namespace {

constexpr const char* kTooDeep = "exceeded max depth";

// Reads kind and apiVersion of the outermost object and passes over everything else.
class KindReader {
 public:
  bool null() { return true; }
  bool boolean(bool) { return plain("bool"); }
  bool number(std::string_view, const int64_t*) { return plain("number"); }
  bool string(std::string_view value) {
    if (depth_ == 0) return plain("string");
    if (depth_ != 1 || !wanted_) return true;
    *wanted_ = value;
    // Usually both stand first: the rest need not be read.
    return kind.empty() || api_version.empty();
  }
  bool complete() const { return !kind.empty() && !api_version.empty(); }
  bool begin(bool is_array) {
    if ((is_array && depth_ == 0) || (depth_ == 1 && wanted_)) {
      return plain(is_array ? "array" : "object");
    }
    return ++depth_ <= kDepthMax || refuse(kTooDeep);
  }
  bool key(std::string_view name) {
    if (depth_ != 1) return true;
    wanted_ = name == "kind" ? &kind : name == "apiVersion" ? &api_version : nullptr;
    return true;
  }
  bool end() {
    if (--depth_ == 1) wanted_ = nullptr;
    return true;
  }

  std::string kind, api_version;
  std::string refusal;

 private:
  static constexpr int kDepthMax = 10'000;
  bool refuse(std::string why) {
    refusal = std::move(why);
    return false;
  }
  bool plain(std::string_view what) {
    const bool of_interest = depth_ == 1 && wanted_;
    if (depth_ != 0 && !of_interest) return true;
    const std::string begin =
        "couldn't get version/kind; json parse error: json: cannot unmarshal " + std::string(what);
    if (of_interest) {
      const std::string name = wanted_ == &kind ? "kind" : "apiVersion";
      return refuse(begin + " into Go struct field ." + name + " of type string");
    }
    return refuse(begin +
                  " into Go value of type struct { APIVersion string "
                  "\"json:\\\"apiVersion,omitempty\\\"\"; Kind string "
                  "\"json:\\\"kind,omitempty\\\"\" }");
  }
  int depth_ = 0;
  std::string* wanted_ = nullptr;
};

}  // namespace

}  // namespace codec

Result<Unit, DecodeError> decode_json(std::string_view json, const TypeInfo& type, void* value,
                                      const DecodeOptions& options) {
  codec::StructReader reader(type, value, options);
  codec::JsonParser<codec::StructReader> parser(json, reader);
  if (parser.parse()) return Unit{};
  if (reader.error().empty()) return Err(DecodeError{parser.error()});
  // Go looks at the whole syntax first.
  if (reader.error() != codec::kTooDeep) {
    if (std::string why = codec::json_syntax_error(json); !why.empty()) {
      return Err(DecodeError{std::move(why)});
    }
  }
  return Err(DecodeError{reader.error()});
}

Result<std::unique_ptr<Object>, DecodeError> decode_object(std::string_view json,
                                                           const TypeInfo& type,
                                                           const DecodeOptions& options) {
  if (!type.make_object)
    return Err(DecodeError{"no object kind: " + std::string(type.openapi_name)});
  std::unique_ptr<Object> object(type.make_object());
  ORCH_CHECK(decode_json(json, type, object.get(), options));
  return object;
}

Result<GroupVersionKind, DecodeError> peek_kind(std::string_view json) {
  codec::KindReader reader;
  codec::JsonParser<codec::KindReader> parser(json, reader);
  if (!parser.parse() && !reader.complete()) {
    if (!reader.refusal.empty()) return Err(DecodeError{reader.refusal});
    return Err(DecodeError{"couldn't get version/kind; json parse error: " + parser.error()});
  }
  GroupVersionKind out;
  out.kind = std::move(reader.kind);
  const size_t slash = reader.api_version.find('/');
  if (slash == std::string::npos) {
    out.version = std::move(reader.api_version);
  } else {
    out.group = reader.api_version.substr(0, slash);
    out.version = reader.api_version.substr(slash + 1);
  }
  return out;
}

}  // namespace orch::api
