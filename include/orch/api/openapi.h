// The OpenAPI documents of all registered resources, generated from TypeInfo and all_resources().
// Documents are built when asked for and freed when the last holder lets go; only the index of v3
// stays. Any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orch::api {

enum class OpenApiFormat : uint8_t {
  kJson,
  kProtobuf,  // gnostic's messages: application/com.github.proto-openapi.spec.v2@v1.0+protobuf, v3
};

struct OpenApiDocument {
  std::shared_ptr<const std::string> body;
  std::string hash;  // of the content, the same in every format; hex. ETag is "\"" + hash + "\""
};

// GET /openapi/v2: everything in one document.
OpenApiDocument openapi_v2(OpenApiFormat format);
// GET /openapi/v3:
// {"paths":{"apis/apps/v1":{"serverRelativeURL":"/openapi/v3/apis/apps/v1?hash=..."}}}.
OpenApiDocument openapi_v3_index();
// GET /openapi/v3/<path>; path = "api/v1", "apis/apps/v1", ... nullopt if there is no such group.
std::optional<OpenApiDocument> openapi_v3(std::string_view path, OpenApiFormat format);

}  // namespace orch::api
