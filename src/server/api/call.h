// One request after routing and authentication, as the verbs see it; and how they answer.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/error.h"
#include "orch/api/object.h"
#include "orch/api/scheme.h"
#include "orch/net/http.h"
#include "server/api/hooks.h"

namespace orch::server {

// What the path says (genericapiserver's RequestInfo).
struct RequestInfo {
  bool is_resource = false;
  std::string verb;  // get list watch create update patch delete deletecollection
  std::string group, version, resource, subresource, namespace_, name;
  std::string subresource_path;  // behind proxy/: "" or "/..."
  std::string path;              // percent-decoded, whole
};
// `watch=true` and metadata.name selectors are looked up in `query`.
RequestInfo parse_request(std::string_view method, std::string_view path, const net::Query& query);

struct Call {
  RequestInfo info;
  std::string method;  // "GET" ...; in-process calls have the verb's own
  UserInfo user;
  net::Query query;
  std::string accept, content_type, user_agent, if_none_match;
  std::string body;
  api::ObjectPtr object;                   // in place of body, in process
  const net::HttpRequest* http = nullptr;  // null in process
  bool may_park = false;                   // HttpResponse::park() may be used
  std::vector<std::string> warnings;
  std::map<std::string, std::string> audit_annotations;  // what admission notes for the audit

  std::string param(std::string_view name) const { return net::query_value(query, name); }
  bool has_param(std::string_view name) const { return query.find(name) != query.end(); }
  // True for "true", "1", "" given and the like, as Go's conversion of query values.
  bool flag(std::string_view name) const;
};

// fieldManager of a write that names none: the user agent up to the first "/".
std::string default_field_manager(const Call& call);

}  // namespace orch::server
