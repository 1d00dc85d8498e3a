#include "orch/api/error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <set>

namespace orch::api {
namespace {

using nlohmann::json;

Error make(int code, std::string_view reason, std::string message) {
  Error e;
  e.code = code;
  e.reason = reason;
  e.message = std::move(message);
  return e;
}

Error make_for(int code, std::string_view reason, std::string message, const GroupResource& r,
               std::string_view name) {
  Error e = make(code, reason, std::move(message));
  e.group = r.group;
  e.kind = r.resource;
  e.name = name;
  return e;
}

// Decodes one UTF-8 sequence at `at`; 0 length = invalid.
size_t utf8_length(std::string_view text, size_t at, uint32_t& rune) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  unsigned char b = byte(0);
  size_t n = b < 0x80                ? 1
             : b >= 0xc2 && b < 0xe0 ? 2
             : b >= 0xe0 && b < 0xf0 ? 3
             : b >= 0xf0 && b < 0xf5 ? 4
                                     : 0;
  if (n == 0 || at + n > text.size()) return 0;
  rune = n == 1 ? b : b & (0xff >> (n + 1));
  for (size_t i = 1; i < n; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    rune = rune << 6 | (byte(i) & 0x3f);
  }
  if ((n == 3 && rune < 0x800) || (n == 4 && rune < 0x10000) || rune > 0x10ffff ||
      (rune >= 0xd800 && rune < 0xe000)) {
    return 0;
  }
  return n;
}

std::string_view text_of(const json& object, const char* key) {
  auto it = object.find(key);
  if (it == object.end() || !it->is_string()) return "";
  return it->get_ref<const std::string&>();
}

Error from_status(const json& status, int http_code) {
  Error e = make(http_code, text_of(status, "reason"), std::string(text_of(status, "message")));
  if (auto code = status.find("code"); code != status.end() && code->is_number_integer()) {
    int64_t value = code->get<int64_t>();
    if (value >= 100 && value < 1000) e.code = static_cast<int>(value);
  }
  auto details = status.find("details");
  if (details == status.end() || !details->is_object()) return e;
  e.name = text_of(*details, "name");
  e.group = text_of(*details, "group");
  e.kind = text_of(*details, "kind");
  e.uid = text_of(*details, "uid");
  if (auto after = details->find("retryAfterSeconds");
      after != details->end() && after->is_number_integer()) {
    e.retry_after_seconds = after->get<int32_t>();
  }
  auto causes = details->find("causes");
  if (causes == details->end() || !causes->is_array()) return e;
  for (const json& cause : *causes) {
    if (!cause.is_object()) continue;
    e.causes.push_back({std::string(text_of(cause, "reason")),
                        std::string(text_of(cause, "message")),
                        std::string(text_of(cause, "field"))});
  }
  return e;
}

// Reason and text that stand for a bare HTTP code.
struct CodeText {
  int code;
  std::string_view reason, message;
  bool own_message;  // what the server said is shown instead
};
constexpr CodeText kCodeTexts[] = {
    {409, "Conflict", "the server reported a conflict", false},
    {404, "NotFound", "the server could not find the requested resource", false},
    {400, "BadRequest", "the server rejected our request for an unknown reason", false},
    {401, "Unauthorized", "the server has asked for the client to provide credentials", false},
    {403, "Forbidden", "", true},
    {406, "NotAcceptable",
     "the server was unable to respond with a content type that the client supports", true},
    {415, "UnsupportedMediaType", "", true},
    {405, "MethodNotAllowed", "the server does not allow this method on the requested resource",
     false},
    {422, "Invalid", "the server rejected our request due to an error in our request", false},
    {503, "ServiceUnavailable", "the server is currently unable to handle the request", false},
    {504, "Timeout",
     "the server was unable to return a response in the time allotted, but may still be "
     "processing the request",
     false},
    {429, "TooManyRequests",
     "the server has received too many requests and has asked us to try again later", false},
};

}  // namespace

Error not_found(const GroupResource& resource, std::string_view name) {
  return make_for(404, "NotFound", fmt::format("{} {} not found", resource.str(), go_quoted(name)),
                  resource, name);
}

Error already_exists(const GroupResource& resource, std::string_view name) {
  return make_for(409, "AlreadyExists",
                  fmt::format("{} {} already exists", resource.str(), go_quoted(name)), resource,
                  name);
}

Error conflict(const GroupResource& resource, std::string_view name, std::string_view why) {
  return make_for(409, "Conflict",
                  fmt::format("Operation cannot be fulfilled on {} {}: {}", resource.str(),
                              go_quoted(name), why),
                  resource, name);
}

Error generate_name_conflict(const GroupResource& resource, std::string_view name) {
  Error e = make_for(409, "AlreadyExists",
                     fmt::format("{} {} already exists, the server was not able to generate a "
                                 "unique name for the object",
                                 resource.str(), go_quoted(name)),
                     resource, name);
  e.retry_after_seconds = 1;
  return e;
}

Error apply_conflict(std::vector<Cause> causes, std::string_view message) {
  Error e = make(409, "Conflict", std::string(message));
  e.causes = std::move(causes);
  return e;
}

Error forbidden(const GroupResource& resource, std::string_view name, std::string_view why) {
  std::string message;
  if (resource.resource.empty()) {
    message = fmt::format("forbidden: {}", why);
  } else if (name.empty()) {
    message = fmt::format("{} is forbidden: {}", resource.str(), why);
  } else {
    message = fmt::format("{} {} is forbidden: {}", resource.str(), go_quoted(name), why);
  }
  return make_for(403, "Forbidden", std::move(message), resource, name);
}

Error unauthorized(std::string_view why) {
  return make(401, "Unauthorized", std::string(why.empty() ? "not authorized" : why));
}

Error bad_request(std::string_view why) { return make(400, "BadRequest", std::string(why)); }

Error invalid(std::string_view group, std::string_view kind, std::string_view name,
              std::vector<Cause> causes) {
  std::string message = group.empty()
                            ? fmt::format("{} {} is invalid", kind, go_quoted(name))
                            : fmt::format("{}.{} {} is invalid", kind, group, go_quoted(name));
  std::vector<std::string> texts;
  std::set<std::string> seen;
  for (const Cause& cause : causes) {
    std::string text =
        cause.field.empty() ? cause.message : fmt::format("{}: {}", cause.field, cause.message);
    if (seen.insert(text).second) texts.push_back(std::move(text));
  }
  if (texts.size() == 1) {
    message += ": " + texts[0];
  } else if (!texts.empty()) {
    message += fmt::format(": [{}]", fmt::join(texts, ", "));
  }
  Error e = make(422, "Invalid", std::move(message));
  e.group = group;
  e.kind = kind;
  e.name = name;
  e.causes = std::move(causes);
  return e;
}

Error method_not_supported(const GroupResource& resource, std::string_view action) {
  return make_for(
      405, "MethodNotAllowed",
      fmt::format("{} is not supported on resources of kind {}", action, go_quoted(resource.str())),
      resource, "");
}

Error gone(std::string_view why) { return make(410, "Gone", std::string(why)); }
Error expired(std::string_view why) { return make(410, "Expired", std::string(why)); }

Error timeout(std::string_view why, int32_t retry_after_seconds) {
  Error e = make(504, "Timeout", fmt::format("Timeout: {}", why));
  e.retry_after_seconds = retry_after_seconds;
  return e;
}

Error server_timeout(const GroupResource& resource, std::string_view operation, int32_t retry) {
  Error e = make_for(500, "ServerTimeout",
                     fmt::format("The {} operation against {} could not be completed at this "
                                 "time, please try again.",
                                 operation, resource.str()),
                     resource, operation);
  e.retry_after_seconds = retry;
  return e;
}

Error too_many_requests(std::string_view why, int32_t retry_after_seconds) {
  Error e = make(429, "TooManyRequests", std::string(why));
  e.retry_after_seconds = retry_after_seconds;
  return e;
}

Error request_entity_too_large(std::string_view why) {
  return make(413, "RequestEntityTooLarge", fmt::format("Request entity too large: {}", why));
}

Error unsupported_media_type(std::string_view why) {
  return make(415, "UnsupportedMediaType", std::string(why));
}

Error not_acceptable(std::string_view why) { return make(406, "NotAcceptable", std::string(why)); }

Error service_unavailable(std::string_view why) {
  return make(503, "ServiceUnavailable", std::string(why));
}

Error internal_error(std::string_view why) {
  Error e = make(500, "InternalError", fmt::format("Internal error occurred: {}", why));
  e.causes.push_back({"", std::string(why), ""});
  return e;
}

Error path_not_found() { return generic_server_response(404); }

Error plain_error(std::string_view why) { return make(500, "", std::string(why)); }

Error generic_server_response(int code, std::string_view server_message, bool unexpected) {
  Error e = make(code, "",
                 fmt::format("the server responded with the status code {} but did not return "
                             "more information",
                             code));
  bool known = false;
  for (const CodeText& text : kCodeTexts) {
    if (text.code != code) continue;
    known = true;
    bool own = text.own_message &&
               (text.message.empty() || (!server_message.empty() && server_message != "unknown"));
    e.reason = text.reason;
    e.message = own ? server_message : text.message;
  }
  if (!known && code >= 500) {
    e.reason = "InternalError";
    e.message = fmt::format("an error on the server ({}) has prevented the request from succeeding",
                            go_quoted(server_message));
  }
  if (unexpected) {
    e.causes.push_back({"UnexpectedServerResponse", std::string(server_message), ""});
  }
  return e;
}

std::string status_json(const Error& error) {
  using nlohmann::ordered_json;
  ordered_json status = {{"kind", "Status"},
                         {"apiVersion", "v1"},
                         {"metadata", ordered_json::object()},
                         {"status", "Failure"}};
  if (!error.message.empty()) status["message"] = error.message;
  if (!error.reason.empty()) status["reason"] = error.reason;
  ordered_json details = ordered_json::object();
  if (!error.name.empty()) details["name"] = error.name;
  if (!error.group.empty()) details["group"] = error.group;
  if (!error.kind.empty()) details["kind"] = error.kind;
  if (!error.uid.empty()) details["uid"] = error.uid;
  for (const Cause& cause : error.causes) {
    ordered_json c = ordered_json::object();
    if (!cause.type.empty()) c["reason"] = cause.type;
    if (!cause.message.empty()) c["message"] = cause.message;
    if (!cause.field.empty()) c["field"] = cause.field;
    details["causes"].push_back(std::move(c));
  }
  if (error.retry_after_seconds != 0) details["retryAfterSeconds"] = error.retry_after_seconds;
  // Upstream has details, if empty ones, where an error of that sort could have some.
  bool always = false;
  for (const std::string_view reason :
       {"Forbidden", "Invalid", "MethodNotAllowed", "NotFound", "Timeout", "TooManyRequests"}) {
    always = always || error.reason == reason;
  }
  if (always || !details.empty()) status["details"] = std::move(details);
  status["code"] = error.code;
  return status.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

Error error_from_response(int http_code, std::string_view body) {
  json parsed = json::parse(body, nullptr, false);
  if (parsed.is_object() && text_of(parsed, "kind") == "Status" &&
      text_of(parsed, "status") != "Success") {
    return from_status(parsed, http_code);
  }
  constexpr size_t kShownMax = 2048;
  std::string_view shown = body.substr(0, kShownMax);
  while (!shown.empty() && (shown.back() == '\n' || shown.back() == ' ')) shown.remove_suffix(1);
  return generic_server_response(http_code, shown.empty() ? "unknown" : shown, true);
}

std::string go_quoted(std::string_view text) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    unsigned char c = static_cast<unsigned char>(text[at]);
    if (c >= 0x80) {
      uint32_t rune = 0;
      size_t n = utf8_length(text, at, rune);
      if (n == 0) {
        out += fmt::format("\\x{:02x}", c);
        ++at;
      } else if (rune < 0xa0 || rune == 0x2028 || rune == 0x2029 || rune == 0xfeff) {
        out += fmt::format("\\u{:04x}", rune);
        at += n;
      } else {
        out += text.substr(at, n);
        at += n;
      }
      continue;
    }
    ++at;
    constexpr std::string_view kNamed = "\a\b\t\n\v\f\r";
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (size_t i = kNamed.find(static_cast<char>(c)); i != kNamed.npos) {
      out += '\\';
      out += "abtnvfr"[i];
    } else if (c < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", c);
    } else {
      out += static_cast<char>(c);
    }
  }
  return out + "\"";
}

namespace {
std::string with_detail(std::string text, std::string_view detail) {
  if (!detail.empty()) text.append(": ").append(detail);
  return text;
}
}  // namespace

void FieldErrors::required(std::string_view field, std::string_view detail) {
  causes_.push_back(
      {"FieldValueRequired", with_detail("Required value", detail), std::string(field)});
}

void FieldErrors::invalid(std::string_view field, std::string_view value_shown,
                          std::string_view detail) {
  causes_.push_back({"FieldValueInvalid",
                     with_detail(fmt::format("Invalid value: {}", value_shown), detail),
                     std::string(field)});
}

void FieldErrors::not_supported(std::string_view field, std::string_view value,
                                const std::vector<std::string>& supported) {
  std::vector<std::string> shown;
  for (const std::string& s : supported) shown.push_back(go_quoted(s));
  std::string detail;
  if (!shown.empty()) detail = fmt::format("supported values: {}", fmt::join(shown, ", "));
  causes_.push_back({"FieldValueNotSupported",
                     with_detail(fmt::format("Unsupported value: {}", go_quoted(value)), detail),
                     std::string(field)});
}

void FieldErrors::duplicate(std::string_view field, std::string_view value_shown) {
  causes_.push_back(
      {"FieldValueDuplicate", fmt::format("Duplicate value: {}", value_shown), std::string(field)});
}

void FieldErrors::forbidden(std::string_view field, std::string_view detail) {
  causes_.push_back({"FieldValueForbidden", with_detail("Forbidden", detail), std::string(field)});
}

void FieldErrors::not_found(std::string_view field, std::string_view value_shown) {
  causes_.push_back(
      {"FieldValueNotFound", fmt::format("Not found: {}", value_shown), std::string(field)});
}

void FieldErrors::too_long(std::string_view field, int64_t max) {
  causes_.push_back({"FieldValueTooLong",
                     fmt::format("Too long: may not be more than {} bytes", max),
                     std::string(field)});
}

void FieldErrors::too_many(std::string_view field, int64_t actual, int64_t max) {
  causes_.push_back(
      {"FieldValueTooMany",
       fmt::format("Too many: {}: must have at most {} item{}", actual, max, max == 1 ? "" : "s"),
       std::string(field)});
}

void FieldErrors::type_invalid(std::string_view field, std::string_view value_shown,
                               std::string_view detail) {
  causes_.push_back({"FieldValueTypeInvalid",
                     with_detail(fmt::format("Invalid value: {}", value_shown), detail),
                     std::string(field)});
}

}  // namespace orch::api
