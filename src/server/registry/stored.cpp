#include "server/registry/stored.h"

#include <fmt/format.h>

#include <charconv>

#include "orch/base/json_scan.h"

namespace orch::server {
namespace {

constexpr size_t kHeaderBytes = 7;

// Behind metadata.uid (where Go writes it), else behind the opening brace of metadata.
size_t find_splice(std::string_view json) {
  const auto metadata = json_member(json, "metadata");
  if (!metadata || metadata->empty() || metadata->front() != '{') return 0;
  const char* base = json.data();
  size_t offset = static_cast<size_t>(metadata->data() - base) + 1;
  json_members(*metadata, [&](std::string_view key, std::string_view value) {
    if (key != "name" && key != "generateName" && key != "namespace" && key != "uid") return false;
    offset = static_cast<size_t>(value.data() - base) + value.size();
    return key != "uid";
  });
  return offset;
}

std::string_view metadata_of(std::string_view raw) {
  return json_member(raw, "metadata").value_or("{}");
}

}  // namespace

storage::Bytes Stored::pack(std::string_view json) {
  std::string value = fmt::format("{:06x}\n", find_splice(json));
  value += json;
  return std::make_shared<const std::string>(std::move(value));
}

bool Stored::well_formed() const {
  if (!value_ || value_->size() < kHeaderBytes + 2 || (*value_)[6] != '\n') return false;
  if ((*value_)[kHeaderBytes] != '{' || value_->back() != '}') return false;
  const size_t at = splice();
  const std::string_view text = raw();
  if (at == 0 || at >= text.size()) return false;
  // Behind the opening brace or a string, before the next member or the end: values that others
  // copied and made longer or shorter are found out here.
  const char before = text[at - 1], after = text[at];
  if (before == '{') return after == '"' || after == '}';
  return before == '"' && (after == ',' || after == '}');
}

std::string_view Stored::raw() const {
  if (!value_ || value_->size() < kHeaderBytes) return "{}";
  return std::string_view(*value_).substr(kHeaderBytes);
}

size_t Stored::splice() const {
  if (!value_ || value_->size() < kHeaderBytes) return 0;
  size_t offset = 0;
  std::from_chars(value_->data(), value_->data() + 6, offset, 16);
  return offset;
}

std::string splice_text(std::string_view raw, size_t offset, storage::Revision revision) {
  std::string out;
  const bool first = offset > 0 && raw[offset - 1] == '{';
  if (!first) out += ',';
  out += "\"resourceVersion\":\"";
  out += std::to_string(revision);
  out += '"';
  if (first && offset < raw.size() && raw[offset] != '}') out += ',';
  return out;
}

void Stored::append_to(std::string& out) const {
  const std::string_view text = raw();
  const size_t at = splice();
  if (at == 0 || at > text.size() || revision_ == 0) {
    out += text;
    return;
  }
  out += text.substr(0, at);
  out += splice_text(text, at, revision_);
  out += text.substr(at);
}

size_t Stored::json_bytes() const {
  const std::string_view text = raw();
  const size_t at = splice();
  if (at == 0 || at > text.size()) return text.size();
  return text.size() + splice_text(text, at, revision_).size();
}

std::string Stored::json() const {
  std::string out;
  out.reserve(raw().size() + 32);
  append_to(out);
  return out;
}

std::string Stored::metadata_json() const {
  const std::string_view text = raw();
  const std::string_view metadata = metadata_of(text);
  const size_t start = static_cast<size_t>(metadata.data() - text.data());
  const size_t at = splice();
  std::string out;
  if (at <= start || at > start + metadata.size() || revision_ == 0) return std::string(metadata);
  out.reserve(metadata.size() + 32);
  out += metadata.substr(0, at - start);
  out += splice_text(text, at, revision_);
  out += metadata.substr(at - start);
  return out;
}

api::Labels Stored::labels() const {
  const auto labels = json_member(metadata_of(raw()), "labels");
  return labels ? json_string_map(*labels) : api::Labels{};
}

std::optional<std::string> Stored::string_at(std::string_view path) const {
  return json_string_at(raw(), path);
}

}  // namespace orch::server
