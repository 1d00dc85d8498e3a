// Stored objects into answers: JSON spliced from the stored bytes, YAML, protobuf, Table and
// PartialObjectMetadata; single, as lists and as watch frames. Stateless; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "orch/api/scheme.h"
#include "orch/net/http.h"
#include "server/api/call.h"
#include "server/api/negotiate.h"
#include "server/registry/registry.h"

namespace orch::server {

// What Table rows hold of their object (?includeObject=).
enum class IncludeObject : uint8_t { kMetadata, kNone, kObject };

struct Encoding {
  OutputForm form;
  IncludeObject include = IncludeObject::kMetadata;
  WallTime now;  // for ages

  std::string id() const;  // the same id = the same bytes for the same object
  bool metadata_only() const {
    return form.transform == Transform::kPartialMetadata ||
           form.transform == Transform::kPartialMetadataList;
  }
};
// From Accept, ?pretty and ?includeObject (400 on an unknown one, if a Table is asked).
api::ApiResult<Encoding> encoding_of(const Call& call, WallTime now, bool tables = true);

// Answers with one object.
api::ApiResult<Unit> answer_object(const Encoding& encoding, const api::ResourceInfo& resource,
                                   const Stored& stored, int status, net::HttpResponse& response);
api::ApiResult<Unit> answer_list(const Encoding& encoding, const api::ResourceInfo& resource,
                                 Page page, net::HttpResponse& response);
// Any JSON document of a known kind (Scale, Status, TokenReview ...).
void answer_json(const Encoding& encoding, std::string json, const api::TypeInfo* type, int status,
                 net::HttpResponse& response);
void answer_error(const Call& call, const api::Error& error, net::HttpResponse& response);
// `Warning: 299 - "..."` for each of call.warnings.
void add_warnings(const Call& call, net::HttpResponse& response);

// One frame of a watch. `first`: Table columns are shown in the first frame only.
std::string watch_frame(const Encoding& encoding, const api::ResourceInfo& resource,
                        WatchEventType type, const Stored& object, bool first);
std::string bookmark_frame(const Encoding& encoding, const api::ResourceInfo& resource,
                           storage::Revision revision, bool initial_events_end);
std::string error_frame(const Encoding& encoding, const api::Error& error);
// {"kind":...,"metadata":{"resourceVersion":...,"creationTimestamp":null}...}
std::string bookmark_json(const api::ResourceInfo& resource, storage::Revision revision,
                          bool initial_events_end);

// Table documents (table.cpp).
std::string table_json(const Encoding& encoding, const api::ResourceInfo& resource,
                       const std::vector<Stored>& items, std::string_view list_meta,
                       bool with_columns);
// kubectl's short form of an object's age; "<unknown>" when unset.
std::string table_age(const api::Time& since, WallTime now);
std::string partial_metadata_json(const Stored& stored, const OutputForm& form);
// {"resourceVersion":"5","continue":"...","remainingItemCount":3}
std::string list_meta_json(const Page& page);

// Protobuf (protobuf_form.cpp): with the k8s envelope.
api::ApiResult<std::string> object_protobuf(const api::ResourceInfo& resource,
                                            const Stored& stored);
api::ApiResult<std::string> list_protobuf(const Encoding& encoding,
                                          const api::ResourceInfo& resource, const Page& page);
api::ApiResult<std::string> json_protobuf(std::string_view json, const api::TypeInfo& type);
std::string protobuf_watch_frame(std::string_view type, std::string_view enveloped_object);

}  // namespace orch::server
