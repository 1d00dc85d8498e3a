#include "server/api/encode.h"

#include <fmt/format.h>

#include "orch/api/codec.h"
#include "orch/api/metav1.h"
#include "orch/base/json_scan.h"
#include "orch/base/strings.h"
#include "server/api/body.h"

namespace orch::server {
namespace {

using api::MediaType;

bool pretty_agent(std::string_view agent) {
  return agent.starts_with("curl") || agent.starts_with("Wget") || agent.starts_with("Mozilla/5.0");
}

void set_body(const OutputForm& form, std::string body, int status, net::HttpResponse& response) {
  response.status = status;
  response.set("Content-Type", std::string(form.content_type()));
  response.body = std::move(body);
}

// JSON text into JSON or YAML as asked. Go's encoder ends a compact document with a line feed, and
// an indented one without.
std::string textual(const OutputForm& form, std::string json) {
  if (form.media == MediaType::kYaml) return api::json_to_yaml(json);
  if (form.pretty) {
    json = json_pretty(json);
    json.pop_back();
  } else {
    json += '\n';
  }
  return json;
}

const api::TypeInfo& partial_metadata_type() {
  return api::metav1::PartialObjectMetadata::type_info();
}

std::string list_head(const Encoding& encoding, const api::ResourceInfo& resource,
                      const Page& page) {
  std::string out;
  if (encoding.metadata_only()) {
    out = fmt::format(R"({{"kind":"PartialObjectMetadataList","apiVersion":"{}","metadata":)",
                      encoding.form.meta_version());
  } else {
    out = fmt::format(R"({{"kind":"{}List","apiVersion":"{}","metadata":)", resource.kind,
                      resource.api_version());
  }
  out += list_meta_json(page);
  out += ",\"items\":[";
  return out;
}

// The compact JSON of a list, made in parts while it is sent: a long list is neither copied whole
// nor waited for.
constexpr size_t kPartBytes = 64 * 1024;
constexpr std::string_view kListEnd = "]}\n";

void answer_long_list(const Encoding& encoding, const api::ResourceInfo& resource, Page page,
                      net::HttpResponse& response) {
  set_body(encoding.form, list_head(encoding, resource, page), 200, response);
  size_t bytes = kListEnd.size();
  for (const Stored& item : page.items) bytes += item.json_bytes() + 1;
  response.tail.bytes = bytes - 1;  // no comma before the first
  response.tail.next = [items = std::move(page.items), at = size_t{0}]() mutable {
    std::string out;
    out.reserve(kPartBytes + kPartBytes / 4);
    for (; at < items.size() && out.size() < kPartBytes; ++at) {
      if (at > 0) out += ',';
      items[at].append_to(out);
      items[at] = Stored();
    }
    if (at == items.size()) out += kListEnd;
    return out;
  };
}

std::string list_json(const Encoding& encoding, const api::ResourceInfo& resource,
                      const Page& page) {
  const bool metadata_only = encoding.metadata_only();
  std::string out = list_head(encoding, resource, page);
  size_t bytes = out.size() + 4;
  if (!metadata_only) {
    for (const Stored& item : page.items) bytes += item.raw().size() + 48;
    out.reserve(bytes);
  }
  bool first = true;
  for (const Stored& item : page.items) {
    if (!first) out += ',';
    first = false;
    if (metadata_only) {
      out += partial_metadata_json(item, encoding.form);
    } else {
      item.append_to(out);
    }
  }
  out += "]}";
  return out;
}

std::string json_frame(std::string_view type, std::string_view object) {
  std::string out;
  out.reserve(object.size() + 40);
  out += "{\"type\":\"";
  out += type;
  out += "\",\"object\":";
  out += object;
  out += "}\n";
  return out;
}

}  // namespace

std::string Encoding::id() const {
  return fmt::format("{}{}{}{}", static_cast<int>(form.media), static_cast<int>(form.transform),
                     static_cast<int>(include), form.beta ? "b" : "");
}

api::ApiResult<Encoding> encoding_of(const Call& call, WallTime now, bool tables) {
  Encoding encoding;
  encoding.now = now;
  ORCH_TRY(encoding.form, negotiate_output(call.accept, tables));
  const std::string pretty = call.param("pretty");
  if (!pretty.empty()) {
    encoding.form.pretty = to_lower(pretty) == "true" || pretty == "t" || pretty == "1";
  } else if (!encoding.form.pretty) {
    encoding.form.pretty = pretty_agent(call.user_agent);
  }
  const std::string include = call.param("includeObject");
  if (include == "None") {
    encoding.include = IncludeObject::kNone;
  } else if (include == "Object") {
    encoding.include = IncludeObject::kObject;
  } else if (!include.empty() && include != "Metadata" &&
             encoding.form.transform == Transform::kTable) {
    return Err(api::bad_request(
        fmt::format("Unable to convert to Table as requested: includeObject: Invalid value: {}: "
                    "must be 'Metadata', 'Object', 'None', or empty",
                    api::go_quoted(include))));
  }
  return encoding;
}

std::string list_meta_json(const Page& page) {
  // A list that comes from no store has no version.
  std::string out = "{";
  if (page.revision != 0) out += fmt::format("\"resourceVersion\":\"{}\"", page.revision);
  if (!page.continue_.empty()) {
    out += ",\"continue\":";
    append_json_string(out, page.continue_);
  }
  if (page.remaining) out += fmt::format(",\"remainingItemCount\":{}", *page.remaining);
  out += '}';
  return out;
}

std::string partial_metadata_json(const Stored& stored, const OutputForm& form) {
  std::string out = R"({"kind":"PartialObjectMetadata","apiVersion":")";
  out += form.meta_version();
  out += R"(","metadata":)";
  out += stored.metadata_json();
  out += '}';
  return out;
}

api::ApiResult<Unit> answer_object(const Encoding& encoding, const api::ResourceInfo& resource,
                                   const Stored& stored, int status, net::HttpResponse& response) {
  const OutputForm& form = encoding.form;
  if (form.transform == Transform::kPartialMetadataList) {
    return Err(api::not_acceptable(
        fmt::format("you requested PartialObjectMetadataList, but the requested object is not a "
                    "list (*{}.{})",
                    internal_package(*resource.type), resource.kind)));
  }
  if (form.media == MediaType::kProtobuf) {
    ORCH_TRY(auto bytes,
             encoding.metadata_only()
                 ? json_protobuf(partial_metadata_json(stored, form), partial_metadata_type())
                 : object_protobuf(resource, stored));
    set_body(form, std::move(bytes), status, response);
    return Unit{};
  }
  std::string json;
  if (form.transform == Transform::kTable) {
    const std::string meta = fmt::format("{{\"resourceVersion\":\"{}\"}}", stored.revision());
    json = table_json(encoding, resource, {stored}, meta, true);
  } else if (form.transform == Transform::kPartialMetadata) {
    json = partial_metadata_json(stored, form);
  } else {
    json = stored.json();
  }
  set_body(form, textual(form, std::move(json)), status, response);
  return Unit{};
}

api::ApiResult<Unit> answer_list(const Encoding& encoding, const api::ResourceInfo& resource,
                                 Page page, net::HttpResponse& response) {
  constexpr size_t kLongList = 100;
  const OutputForm& form = encoding.form;
  if (form.transform == Transform::kPartialMetadata) {
    return Err(api::not_acceptable(fmt::format(
        "you requested PartialObjectMetadata, but the requested object is a list (*{}.{}List)",
        internal_package(*resource.type), resource.kind)));
  }
  if (form.media == MediaType::kProtobuf) {
    ORCH_TRY(auto bytes, list_protobuf(encoding, resource, page));
    set_body(form, std::move(bytes), 200, response);
    return Unit{};
  }
  if (page.items.size() > kLongList && form.media == MediaType::kJson && !form.pretty &&
      form.transform == Transform::kNone) {
    answer_long_list(encoding, resource, std::move(page), response);
    return Unit{};
  }
  std::string json = form.transform == Transform::kTable
                         ? table_json(encoding, resource, page.items, list_meta_json(page), true)
                         : list_json(encoding, resource, page);
  set_body(form, textual(form, std::move(json)), 200, response);
  return Unit{};
}

void answer_json(const Encoding& encoding, std::string json, const api::TypeInfo* type, int status,
                 net::HttpResponse& response) {
  OutputForm form = encoding.form;
  if (form.media == MediaType::kProtobuf) {
    if (type != nullptr) {
      if (auto bytes = json_protobuf(json, *type)) {
        set_body(form, std::move(*bytes), status, response);
        return;
      }
    }
    form.media = MediaType::kJson;
  }
  set_body(form, textual(form, std::move(json)), status, response);
}

void answer_error(const Call& call, const api::Error& error, net::HttpResponse& response) {
  Encoding encoding;
  if (auto asked = encoding_of(call, WallTime{}, true)) encoding = *asked;
  encoding.form.transform = Transform::kNone;
  answer_json(encoding, api::status_json(error), &api::metav1::Status::type_info(), error.code,
              response);
  if (error.retry_after_seconds > 0) {
    response.set("Retry-After", std::to_string(error.retry_after_seconds));
  }
}

std::string watch_frame(const Encoding& encoding, const api::ResourceInfo& resource,
                        WatchEventType type, const Stored& object, bool first) {
  const OutputForm& form = encoding.form;
  if (form.media == MediaType::kProtobuf) {
    auto bytes = encoding.metadata_only()
                     ? json_protobuf(partial_metadata_json(object, form), partial_metadata_type())
                     : object_protobuf(resource, object);
    if (!bytes) return error_frame(encoding, bytes.error());
    return protobuf_watch_frame(to_string(type), *bytes);
  }
  if (form.transform == Transform::kTable) {
    const std::string meta = fmt::format("{{\"resourceVersion\":\"{}\"}}", object.revision());
    return json_frame(to_string(type), table_json(encoding, resource, {object}, meta, first));
  }
  if (encoding.metadata_only()) {
    return json_frame(to_string(type), partial_metadata_json(object, form));
  }
  std::string out;
  out.reserve(object.raw().size() + 80);
  out += "{\"type\":\"";
  out += to_string(type);
  out += "\",\"object\":";
  object.append_to(out);
  out += "}\n";
  return out;
}

std::string bookmark_json(const api::ResourceInfo& resource, storage::Revision revision,
                          bool initial_events_end) {
  std::unique_ptr<api::Object> empty(resource.type->make_object());
  empty->metadata.resourceVersion = std::to_string(revision);
  if (initial_events_end) empty->metadata.annotations["k8s.io/initial-events-end"] = "true";
  return api::to_json(*empty);
}

std::string bookmark_frame(const Encoding& encoding, const api::ResourceInfo& resource,
                           storage::Revision revision, bool initial_events_end) {
  const OutputForm& form = encoding.form;
  std::string meta = fmt::format("{{\"resourceVersion\":\"{}\"", revision);
  std::string partial =
      fmt::format(R"({{"kind":"PartialObjectMetadata","apiVersion":"{}",)", form.meta_version());
  partial += "\"metadata\":" + meta + ",\"creationTimestamp\":null";
  if (initial_events_end) partial += R"(,"annotations":{"k8s.io/initial-events-end":"true"})";
  partial += "}}";
  meta += '}';
  if (form.media == MediaType::kProtobuf) {
    auto bytes =
        encoding.metadata_only()
            ? json_protobuf(partial, partial_metadata_type())
            : json_protobuf(bookmark_json(resource, revision, initial_events_end), *resource.type);
    return bytes ? protobuf_watch_frame("BOOKMARK", *bytes) : error_frame(encoding, bytes.error());
  }
  if (form.transform == Transform::kTable) {
    // A row without cells carries the bookmark's metadata, as upstream's.
    const std::string row = "{\"cells\":[],\"object\":" + partial + "}";
    return json_frame("BOOKMARK", fmt::format(R"({{"kind":"Table","apiVersion":"{}","metadata":{},)"
                                              R"("columnDefinitions":null,"rows":[{}]}})",
                                              form.meta_version(), meta, row));
  }
  if (encoding.metadata_only()) return json_frame("BOOKMARK", partial);
  return json_frame("BOOKMARK", bookmark_json(resource, revision, initial_events_end));
}

std::string error_frame(const Encoding& encoding, const api::Error& error) {
  const std::string json = api::status_json(error);
  if (encoding.form.media == MediaType::kProtobuf) {
    if (auto bytes = json_protobuf(json, api::metav1::Status::type_info())) {
      return protobuf_watch_frame("ERROR", *bytes);
    }
  }
  return json_frame("ERROR", json);
}

}  // namespace orch::server
