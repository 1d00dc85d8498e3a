// Content negotiation: which form an answer takes, and which form a body has. Stateless; any
// thread.
#pragma once

#include <string>
#include <string_view>

#include "orch/api/codec.h"
#include "orch/api/error.h"

namespace orch::server {

// What `as=` of an Accept header asks for.
enum class Transform : uint8_t { kNone, kTable, kPartialMetadata, kPartialMetadataList };

struct OutputForm {
  api::MediaType media = api::MediaType::kJson;
  Transform transform = Transform::kNone;
  bool pretty = false;
  bool beta = false;  // Table and PartialObjectMetadata as meta.k8s.io/v1beta1

  std::string_view content_type() const;
  std::string_view meta_version() const { return beta ? "meta.k8s.io/v1beta1" : "meta.k8s.io/v1"; }
};

// 406 when nothing in `accept` can be served. `tables`: Table and PartialObjectMetadata may be
// asked. Texts as upstream's: of its router when no media type fits, else of its negotiation.
api::ApiResult<OutputForm> negotiate_output(std::string_view accept, bool tables);
// The media type of a request body; "" = JSON. 415 on others.
api::ApiResult<api::MediaType> negotiate_input(std::string_view content_type);

// One element of an Accept header.
struct AcceptedType {
  std::string type;                // lower case, "application/json"
  std::string as, group, version;  // parameters as=, g=, v=
  std::string stream;              // stream=
  bool pretty = false;             // pretty=1
  double q = 1;
};
// By falling q, exact types before wildcards, then in order.
std::vector<AcceptedType> parse_accept(std::string_view accept);

}  // namespace orch::server
