// api::Error mirrors metav1.Status of a failure. Made by the named functions below, never by hand;
// code, reason and message texts are Kubernetes' (apimachinery's api/errors), since clients match.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "orch/base/result.h"

namespace orch::api {

struct Cause {
  std::string type;  // "FieldValueInvalid", ...
  std::string message;
  std::string field;
};

struct Error {
  int code = 500;
  std::string reason;  // "NotFound", "Conflict", ...
  std::string message;
  // details
  std::string name, group, kind, uid;  // kind holds the resource for NotFound etc., as upstream
  std::vector<Cause> causes;
  int32_t retry_after_seconds = 0;

  bool is(std::string_view r) const { return reason == r; }
};

template <class T>
using ApiResult = Result<T, Error>;

struct GroupResource {
  std::string group, resource;
  std::string str() const { return group.empty() ? resource : resource + "." + group; }
};

Error not_found(const GroupResource& resource, std::string_view name);       // 404 NotFound
Error already_exists(const GroupResource& resource, std::string_view name);  // 409 AlreadyExists
Error conflict(const GroupResource& resource, std::string_view name, std::string_view why);
Error generate_name_conflict(const GroupResource& resource, std::string_view name);
Error apply_conflict(std::vector<Cause> causes, std::string_view message);  // 409 Conflict
Error forbidden(const GroupResource& resource, std::string_view name, std::string_view why);
Error unauthorized(std::string_view why = "Unauthorized");  // 401
Error bad_request(std::string_view why);                    // 400 BadRequest
Error invalid(std::string_view group, std::string_view kind, std::string_view name,
              std::vector<Cause> causes);                                            // 422 Invalid
Error method_not_supported(const GroupResource& resource, std::string_view action);  // 405
Error gone(std::string_view why);                                                    // 410 Gone
Error expired(std::string_view why);                                                 // 410 Expired
Error timeout(std::string_view why, int32_t retry_after_seconds);                    // 504 Timeout
Error server_timeout(const GroupResource& resource, std::string_view operation, int32_t retry);
Error too_many_requests(std::string_view why, int32_t retry_after_seconds);  // 429
Error request_entity_too_large(std::string_view why);                        // 413
Error unsupported_media_type(std::string_view why);                          // 415
Error not_acceptable(std::string_view why);                                  // 406
Error service_unavailable(std::string_view why);                             // 503
Error internal_error(std::string_view why);                                  // 500
// "the server could not find the requested resource": unknown path.
Error path_not_found();

// The error as a metav1.Status JSON document.
std::string status_json(const Error& error);
// Reads a Status document (or any error body) of an HTTP answer back.
Error error_from_response(int http_code, std::string_view body);

// What a client sees of an HTTP answer that carries no Status of its own (upstream's
// NewGenericServerResponse): reason and text follow from the code.
Error generic_server_response(int code, std::string_view server_message = "",
                              bool unexpected = false);
// A failure without a reason, as upstream answers plain Go errors: code 500, reason "".
Error plain_error(std::string_view why);

// Go's %q: for strings shown as a `value_shown`.
std::string go_quoted(std::string_view text);

// Collects field errors of validation; texts as upstream's field.Error. `value_shown` is printed
// as it is: pass numbers and bools plainly, strings through go_quoted().
class FieldErrors {
 public:
  void required(std::string_view field, std::string_view detail = "");
  void invalid(std::string_view field, std::string_view value_shown, std::string_view detail);
  void not_supported(std::string_view field, std::string_view value,
                     const std::vector<std::string>& supported);
  void duplicate(std::string_view field, std::string_view value_shown);
  void forbidden(std::string_view field, std::string_view detail);
  void not_found(std::string_view field, std::string_view value_shown);
  void too_long(std::string_view field, int64_t max);
  void too_many(std::string_view field, int64_t actual, int64_t max);
  void type_invalid(std::string_view field, std::string_view value_shown, std::string_view detail);
  bool empty() const { return causes_.empty(); }
  std::vector<Cause> take() { return std::move(causes_); }

 private:
  std::vector<Cause> causes_;
};

}  // namespace orch::api
