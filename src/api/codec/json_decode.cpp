#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "api/codec/json_text.h"
#include "api/codec/struct_reader.h"
#include "orch/api/codec.h"

namespace orch::api {

namespace codec {

namespace {

using Json = nlohmann::json;

// Go's words for a syntax error; nlohmann's message says where its parser stood.
std::string syntax_error(std::string_view text, size_t position, const std::string& what) {
  const auto says = [&](std::string_view part) { return what.find(part) != std::string::npos; };
  if (text.empty() || position > text.size() || says("unexpected end of input"))
    return "unexpected end of JSON input";
  const char at = text[position == 0 ? 0 : position - 1];
  std::string shown = at == '\'' ? "'\\''" : at == '"' ? "'\"'" : std::string("'") + at + "'";
  if (at == '\n') shown = "'\\n'";
  if (at == '\t') shown = "'\\t'";
  if (at == '\r') shown = "'\\r'";
  const std::string begin = "invalid character " + shown + " ";
  if (says("invalid string") || says("control character")) return begin + "in string literal";
  if (says("invalid number")) return begin + "in numeric literal";
  if (says("expected end of input")) return begin + "after top-level value";
  if (says("object separator")) return begin + "after object key";
  if (says("object key")) return begin + "looking for beginning of object key string";
  if (says("while parsing object")) return begin + "after object key:value pair";
  if (says("while parsing array")) return begin + "after array element";
  return begin + "looking for beginning of value";
}

// Base of the handlers: nlohmann's interface with what all of them answer alike.
class Events : public Json::json_sax_t {
 public:
  explicit Events(std::string_view text) : text_(text) {}
  bool binary(Json::binary_t&) override { return false; }
  bool parse_error(size_t position, const std::string&, const Json::exception& e) override {
    syntax_error_ = syntax_error(text_, position, e.what());
    return false;
  }
  const std::string& syntax_message() const { return syntax_error_; }

 private:
  std::string_view text_;
  std::string syntax_error_;
};

class StructEvents final : public Events {
 public:
  StructEvents(std::string_view text, StructReader& reader) : Events(text), reader_(reader) {}
  bool null() override { return reader_.null(); }
  bool boolean(bool value) override { return reader_.boolean(value); }
  bool number_integer(number_integer_t value) override { return integer(value); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      return integer(static_cast<int64_t>(value));
    return reader_.number(std::to_string(value), nullptr);
  }
  bool number_float(number_float_t, const std::string& text) override {
    return reader_.number(text, nullptr);
  }
  bool string(std::string& value) override { return reader_.string(value); }
  bool start_object(size_t) override { return reader_.begin(false); }
  bool key(std::string& name) override { return reader_.key(name); }
  bool end_object() override { return reader_.end(); }
  bool start_array(size_t) override { return reader_.begin(true); }
  bool end_array() override { return reader_.end(); }

 private:
  bool integer(int64_t value) {
    char buffer[24];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
    return reader_.number({buffer, static_cast<size_t>(end - buffer)}, &value);
  }
  StructReader& reader_;
};

// Reads kind and apiVersion of the outermost object and passes over everything else.
class KindEvents final : public Events {
 public:
  using Events::Events;
  bool null() override { return plain("null"); }
  bool boolean(bool) override { return plain("bool"); }
  bool number_integer(number_integer_t) override { return plain("number"); }
  bool number_unsigned(number_unsigned_t) override { return plain("number"); }
  bool number_float(number_float_t, const std::string&) override { return plain("number"); }
  bool string(std::string& value) override {
    if (depth_ == 0) return plain("string");
    if (depth_ != 1 || !wanted_) return true;
    *wanted_ = value;
    // Usually both stand first: the rest need not be read.
    return kind.empty() || api_version.empty();
  }
  bool complete() const { return !kind.empty() && !api_version.empty(); }
  bool start_object(size_t) override {
    if (depth_ == 1 && wanted_) return plain("object");
    return ++depth_ <= kDepthMax || refuse("exceeded max depth");
  }
  bool key(std::string& name) override {
    if (depth_ != 1) return true;
    wanted_ = name == "kind" ? &kind : name == "apiVersion" ? &api_version : nullptr;
    wanted_name_ = name;
    return true;
  }
  bool end_object() override { return end(); }
  bool start_array(size_t) override {
    if (depth_ == 0 || (depth_ == 1 && wanted_)) return plain("array");
    return ++depth_ <= kDepthMax || refuse("exceeded max depth");
  }
  bool end_array() override { return end(); }

  std::string kind, api_version;
  std::string refusal;

 private:
  static constexpr int kDepthMax = 10'000;
  bool end() {
    if (--depth_ == 1) wanted_ = nullptr;
    return true;
  }
  bool refuse(std::string why) {
    refusal = std::move(why);
    return false;
  }
  bool plain(std::string_view what) {
    if (what == "null") return true;
    const std::string prefix =
        "couldn't get version/kind; json parse error: json: cannot unmarshal ";
    if (depth_ == 0)
      return refuse(prefix + std::string(what) +
                    " into Go value of type struct { APIVersion string "
                    "\"json:\\\"apiVersion,omitempty\\\"\"; Kind string "
                    "\"json:\\\"kind,omitempty\\\"\" }");
    if (depth_ == 1 && wanted_)
      return refuse(prefix + std::string(what) + " into Go struct field ." + wanted_name_ +
                    " of type string");
    return true;
  }
  int depth_ = 0;
  std::string* wanted_ = nullptr;
  std::string wanted_name_;
};

}  // namespace

bool is_json(std::string_view text) { return Json::accept(text.begin(), text.end()); }

}  // namespace codec

Result<Unit, DecodeError> decode_json(std::string_view json, const TypeInfo& type, void* value,
                                      const DecodeOptions& options) {
  codec::StructReader reader(type, value, options);
  codec::StructEvents events(json, reader);
  if (codec::Json::sax_parse(json.begin(), json.end(), &events)) return Unit{};
  return Err(DecodeError{reader.error().empty() ? events.syntax_message() : reader.error()});
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
  codec::KindEvents events(json);
  if (!codec::Json::sax_parse(json.begin(), json.end(), &events) && !events.complete()) {
    if (!events.refusal.empty()) return Err(DecodeError{events.refusal});
    return Err(
        DecodeError{"couldn't get version/kind; json parse error: " + events.syntax_message()});
  }
  GroupVersionKind out;
  out.kind = std::move(events.kind);
  const size_t slash = events.api_version.find('/');
  if (slash == std::string::npos) {
    out.version = std::move(events.api_version);
  } else {
    out.group = events.api_version.substr(0, slash);
    out.version = events.api_version.substr(slash + 1);
  }
  return out;
}

}  // namespace orch::api
