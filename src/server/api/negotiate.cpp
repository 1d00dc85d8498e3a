#include "server/api/negotiate.h"

#include <algorithm>
#include <cstdlib>

#include "orch/base/strings.h"

namespace orch::server {
namespace {

constexpr const char* kAccepted =
    "application/json, application/yaml, application/vnd.kubernetes.protobuf";

bool media_of(std::string_view type, api::MediaType& media) {
  if (type == "application/json" || type == "*/*" || type == "application/*") {
    media = api::MediaType::kJson;
  } else if (type == "application/yaml") {
    media = api::MediaType::kYaml;
  } else if (type == "application/vnd.kubernetes.protobuf") {
    media = api::MediaType::kProtobuf;
  } else {
    return false;
  }
  return true;
}

// As Go's mime.ParseMediaType asks for it: `; name=value`, any number of them.
bool parameters_fit(const std::vector<std::string>& parts) {
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::string_view part = trim(parts[i]);
    if (part.empty() && i + 1 == parts.size()) break;
    const size_t equals = part.find('=');
    if (equals == 0 || equals == std::string_view::npos || equals + 1 == part.size()) return false;
  }
  return true;
}

bool transform_of(const AcceptedType& accepted, bool tables, OutputForm& form) {
  if (!accepted.stream.empty() && accepted.stream != "watch") return false;
  if (accepted.as.empty()) return true;
  if (!tables || accepted.group != "meta.k8s.io") return false;
  if (accepted.version != "v1" && accepted.version != "v1beta1") return false;
  form.beta = accepted.version == "v1beta1";
  Transform& transform = form.transform;
  if (accepted.as == "Table") {
    transform = Transform::kTable;
  } else if (accepted.as == "PartialObjectMetadata") {
    transform = Transform::kPartialMetadata;
  } else if (accepted.as == "PartialObjectMetadataList") {
    transform = Transform::kPartialMetadataList;
  } else {
    return false;
  }
  return true;
}

}  // namespace

std::string_view OutputForm::content_type() const {
  switch (media) {
    case api::MediaType::kYaml:
      return "application/yaml";
    case api::MediaType::kProtobuf:
      return "application/vnd.kubernetes.protobuf";
    default:
      return "application/json";
  }
}

std::vector<AcceptedType> parse_accept(std::string_view accept) {
  std::vector<AcceptedType> out;
  for (const std::string& element : split(accept, ',')) {
    AcceptedType accepted;
    bool first = true;
    for (const std::string& raw : split(element, ';')) {
      const std::string part(trim(raw));
      if (first) {
        accepted.type = to_lower(part);
        first = false;
        continue;
      }
      const size_t equals = part.find('=');
      if (equals == std::string::npos) continue;
      const std::string key = to_lower(trim(part.substr(0, equals)));
      const std::string value(trim(part.substr(equals + 1)));
      if (key == "as") accepted.as = value;
      if (key == "g") accepted.group = value;
      if (key == "v") accepted.version = value;
      if (key == "stream") accepted.stream = value;
      if (key == "pretty") accepted.pretty = value == "1";
      if (key == "q") accepted.q = std::strtod(value.c_str(), nullptr);
    }
    if (!accepted.type.empty()) out.push_back(std::move(accepted));
  }
  const auto exactness = [](const AcceptedType& a) {
    return a.type == "*/*" ? 0 : a.type.ends_with("/*") ? 1 : 2;
  };
  std::stable_sort(out.begin(), out.end(), [&](const AcceptedType& a, const AcceptedType& b) {
    return a.q != b.q ? a.q > b.q : exactness(a) > exactness(b);
  });
  return out;
}

api::ApiResult<OutputForm> negotiate_output(std::string_view accept, bool tables) {
  OutputForm form;
  const auto candidates = parse_accept(accept);
  if (candidates.empty()) return form;
  bool known = false;
  for (const AcceptedType& candidate : candidates) {
    form = OutputForm();
    if (!media_of(candidate.type, form.media)) continue;
    known = true;
    form.pretty = candidate.pretty;
    if (!transform_of(candidate, tables, form)) continue;
    // Tables have no protobuf form.
    if (form.media == api::MediaType::kProtobuf && form.transform == Transform::kTable) continue;
    return form;
  }
  if (!known) {
    return Err(api::not_acceptable(
        std::string("406: Not Acceptable\n\nAvailable representations: ") + kAccepted));
  }
  return Err(api::not_acceptable(std::string("only the following media types are accepted: ") +
                                 kAccepted));
}

api::ApiResult<api::MediaType> negotiate_input(std::string_view content_type) {
  const auto parts = split(content_type, ';');
  const std::string type = to_lower(trim(parts.empty() ? "" : parts[0]));
  api::MediaType media = api::MediaType::kJson;
  if (type.empty() && parts.size() <= 1) return media;
  if (type != "*/*" && type != "application/*" && media_of(type, media) && parameters_fit(parts)) {
    return media;
  }
  return Err(api::unsupported_media_type(
      std::string("the body of the request was in an unknown format - accepted media types "
                  "include: ") +
      kAccepted));
}

}  // namespace orch::server
