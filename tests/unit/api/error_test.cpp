#include "orch/api/error.h"

#include <catch2/catch.hpp>

using namespace orch::api;

TEST_CASE("errors carry upstream's codes, reasons and texts") {
  const GroupResource deployments{"apps", "deployments"}, pods{"", "pods"};
  struct Row {
    Error error;
    int code;
    const char *reason, *message;
  };
  const Row rows[] = {
      {not_found(deployments, "web"), 404, "NotFound", "deployments.apps \"web\" not found"},
      {already_exists(pods, "a"), 409, "AlreadyExists", "pods \"a\" already exists"},
      {conflict(pods, "a", "the object has been modified"), 409, "Conflict",
       "Operation cannot be fulfilled on pods \"a\": the object has been modified"},
      {generate_name_conflict(pods, "a-1"), 409, "AlreadyExists",
       "pods \"a-1\" already exists, the server was not able to generate a unique name for the "
       "object"},
      {forbidden(pods, "a", "no"), 403, "Forbidden", "pods \"a\" is forbidden: no"},
      {forbidden(pods, "", "no"), 403, "Forbidden", "pods is forbidden: no"},
      {forbidden({}, "", "no"), 403, "Forbidden", "forbidden: no"},
      {unauthorized(), 401, "Unauthorized", "Unauthorized"},
      {bad_request("x"), 400, "BadRequest", "x"},
      {method_not_supported(deployments, "patch"), 405, "MethodNotAllowed",
       "patch is not supported on resources of kind \"deployments.apps\""},
      {gone("x"), 410, "Gone", "x"},
      {expired("x"), 410, "Expired", "x"},
      {timeout("slow", 3), 504, "Timeout", "Timeout: slow"},
      {server_timeout(pods, "list", 0), 500, "ServerTimeout",
       "The list operation against pods could not be completed at this time, please try again."},
      {too_many_requests("busy", 1), 429, "TooManyRequests", "busy"},
      {request_entity_too_large("limit is 3145728"), 413, "RequestEntityTooLarge",
       "Request entity too large: limit is 3145728"},
      {internal_error("boom"), 500, "InternalError", "Internal error occurred: boom"},
      {path_not_found(), 404, "NotFound", "the server could not find the requested resource"},
      {generic_server_response(422), 422, "Invalid",
       "the server rejected our request due to an error in our request"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.message);
    CHECK(row.error.code == row.code);
    CHECK(row.error.reason == row.reason);
    CHECK(row.error.message == row.message);
  }
}

TEST_CASE("invalid aggregates field errors") {
  FieldErrors one;
  one.required("spec.a");
  CHECK(invalid("apps", "Deployment", "x", one.take()).message ==
        "Deployment.apps \"x\" is invalid: spec.a: Required value");

  FieldErrors errors;
  errors.invalid("spec.replicas", "-1", "must be greater than or equal to 0");
  errors.invalid("spec.replicas", "-1", "must be greater than or equal to 0");
  errors.not_supported("spec.type", "b", {"A", "C"});
  errors.duplicate("spec.ports[1]", go_quoted("p"));
  errors.forbidden("spec", "no");
  errors.too_long("data", 10);
  errors.too_many("list", 5, 3);
  errors.required("spec.b", "say it");
  Error e = invalid("", "Pod", "x", errors.take());
  CHECK(e.code == 422);
  CHECK(e.kind == "Pod");
  CHECK(e.message ==
        "Pod \"x\" is invalid: [spec.replicas: Invalid value: -1: must be greater than or equal to "
        "0, spec.type: Unsupported value: \"b\": supported values: \"A\", \"C\", spec.ports[1]: "
        "Duplicate value: \"p\", spec: Forbidden: no, data: Too long: may not be more than 10 "
        "bytes, list: Too many: 5: must have at most 3 items, spec.b: Required value: say it]");
  REQUIRE(e.causes.size() == 8);
  CHECK(e.causes[0].type == "FieldValueInvalid");
  CHECK(e.causes[0].field == "spec.replicas");
  CHECK(e.causes[0].message == "Invalid value: -1: must be greater than or equal to 0");
}

TEST_CASE("Status documents") {
  CHECK(status_json(not_found({"apps", "deployments"}, "web")) ==
        R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",)"
        R"("message":"deployments.apps \"web\" not found","reason":"NotFound",)"
        R"("details":{"name":"web","group":"apps","kind":"deployments"},"code":404})");
  for (const int code : {404, 405}) {
    CHECK(status_json(generic_server_response(code)).find(R"(,"details":{},"code":40)") !=
          std::string::npos);
  }
  CHECK(status_json(bad_request("x")) ==
        R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",)"
        R"("message":"x","reason":"BadRequest","code":400})");
  SECTION("and back") {
    Error e = apply_conflict({{"FieldManagerConflict", "conflict with \"a\"", ".spec.x"}}, "m");
    e.retry_after_seconds = 7;
    Error back = error_from_response(409, status_json(e));
    CHECK(back.code == 409);
    CHECK(back.is("Conflict"));
    CHECK(back.message == "m");
    REQUIRE(back.causes.size() == 1);
    CHECK(back.causes[0].type == "FieldManagerConflict");
    CHECK(back.causes[0].field == ".spec.x");
    CHECK(back.retry_after_seconds == 7);
  }
  SECTION("bodies that are no Status") {
    CHECK(error_from_response(503, "upstream sent garbage").reason == "ServiceUnavailable");
    Error e = error_from_response(502, "bad \"gateway\"\n");
    CHECK(e.reason == "InternalError");
    CHECK(e.message ==
          "an error on the server (\"bad \\\"gateway\\\"\") has prevented the request from "
          "succeeding");
    CHECK(error_from_response(418, "").code == 418);
    CHECK(error_from_response(500, "{\"kind\":\"Status\",\"code\":\"x\",\"details\":3}").code ==
          500);
  }
  SECTION("bytes that are no UTF-8 do not break the document") {
    CHECK(status_json(bad_request("\xff")).find("\xef\xbf\xbd") != std::string::npos);
  }
}

TEST_CASE("quoting as Go does") {
  CHECK(go_quoted("a\"b\\c\n\t") == R"("a\"b\\c\n\t")");
  CHECK(go_quoted(std::string_view("\0\x7f\xff", 3)) == R"("\x00\x7f\xff")");
  CHECK(go_quoted("é世\xc2\x85") == "\"é世\\u0085\"");
}
