#include "api/patch/managed_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "orch/api/value.h"
#include "orch/base/json_scan.h"

namespace orch::api {
namespace {

using doc::Member;
using doc::Value;

constexpr size_t kUpdatersMax = 10;
constexpr std::string_view kOldUpdates = "ancient-changes";

std::optional<ManagedEntry> parse_entry(const Value& value) {
  if (!value.is_object()) return std::nullopt;
  ManagedEntry entry;
  entry.manager = value.string_at("manager");
  entry.operation = value.string_at("operation");
  entry.api_version = value.string_at("apiVersion");
  entry.subresource = value.string_at("subresource");
  if (entry.operation != "Apply" && entry.operation != "Update") return std::nullopt;
  std::string_view fields_type = value.string_at("fieldsType");
  if (!fields_type.empty() && fields_type != "FieldsV1") return std::nullopt;
  if (std::string_view time = value.string_at("time"); !time.empty()) {
    auto parsed = Time::parse(time);
    if (!parsed) return std::nullopt;
    entry.time = time;
    entry.unix_seconds = parsed->unix_seconds;
  }
  if (const Value* fields = value.find("fieldsV1"); fields != nullptr && !fields->is_null()) {
    auto set = FieldSet::parse(*fields);
    if (!set) return std::nullopt;
    entry.fields = std::move(set).value();
  }
  entry.raw = value.raw;
  return entry;
}

void write_entry(const ManagedEntry& entry, std::string& out) {
  if (!entry.raw.empty()) {
    out += entry.raw;
    return;
  }
  auto member = [&](std::string_view key, std::string_view text) {
    if (text.empty()) return;
    if (out.back() != '{') out += ',';
    append_json_string(out, key);
    out += ':';
    append_json_string(out, text);
  };
  out += '{';
  member("manager", entry.manager);
  member("operation", entry.operation);
  member("apiVersion", entry.api_version);
  member("time", entry.time);
  member("fieldsType", "FieldsV1");
  out += ",\"fieldsV1\":";
  entry.fields.write(out);
  member("subresource", entry.subresource);
  out += '}';
}

// What tells Update entries of equal age apart when the cap picks the oldest.
std::string identity(const ManagedEntry& e) {
  return fmt::format("{}\n{}\n{}\n{}", e.manager, e.operation, e.api_version, e.subresource);
}

// Removes a member from the text of an object, or replaces its value.
std::string replace_member(std::string_view text, std::string_view key, const Value& value,
                           std::string_view replacement) {
  size_t begin = static_cast<size_t>(value.raw.data() - text.data());
  size_t end = begin + value.raw.size();
  std::string out;
  out.reserve(text.size() + replacement.size());
  if (!replacement.empty()) {
    out.append(text, 0, begin).append(replacement).append(text, end);
    return out;
  }
  // Back over `"key" :` and a comma on either side.
  begin = text.rfind(key, begin);
  begin = text.rfind('"', begin);
  auto space = [](char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; };
  size_t before = begin;
  while (before > 0 && space(text[before - 1])) --before;
  if (before > 0 && text[before - 1] == ',') {
    begin = before - 1;
  } else {
    size_t after = end;
    while (after < text.size() && space(text[after])) ++after;
    if (after < text.size() && text[after] == ',') end = after + 1;
  }
  out.append(text, 0, begin).append(text, end);
  return out;
}

}  // namespace

bool ManagedEntry::same_writer(const ManagedEntry& other) const {
  return manager == other.manager && operation == other.operation &&
         subresource == other.subresource && (is_apply() || api_version == other.api_version);
}

void ManagedEntry::stamp(WallTime now) {
  Time t(now);
  time = t.str();
  unix_seconds = t.unix_seconds;
  raw = {};
}

std::optional<ManagedFields> ManagedFields::parse(const Value* managed_fields) {
  ManagedFields out;
  if (managed_fields == nullptr || !managed_fields->is_array()) return out;
  for (const Member& item : managed_fields->items) {
    auto entry = parse_entry(item.value);
    if (!entry) return std::nullopt;
    out.entries.push_back(std::move(*entry));
  }
  return out;
}

ManagedEntry* ManagedFields::find(const ManagedEntry& writer) {
  for (ManagedEntry& entry : entries) {
    if (entry.same_writer(writer)) return &entry;
  }
  return nullptr;
}

void ManagedFields::take_from_others(const FieldSet& changed, const FieldSet& removed,
                                     const ManagedEntry* except) {
  for (ManagedEntry& entry : entries) {
    if (&entry == except) continue;
    if (entry.fields.intersect(changed).empty() && entry.fields.intersect(removed).empty()) {
      continue;
    }
    entry.fields.subtract(changed);
    entry.fields.subtract(removed);
    entry.raw = {};
  }
}

void ManagedFields::drop_empty() {
  std::erase_if(entries, [](const ManagedEntry& e) { return e.fields.empty(); });
}

void ManagedFields::cap_updaters() {
  std::vector<size_t> updaters;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!entries[i].is_apply()) updaters.push_back(i);
  }
  if (updaters.size() <= kUpdatersMax) return;
  std::sort(updaters.begin(), updaters.end(), [&](size_t a, size_t b) {
    if (entries[a].unix_seconds != entries[b].unix_seconds) {
      return entries[a].unix_seconds < entries[b].unix_seconds;
    }
    return identity(entries[a]) < identity(entries[b]);
  });
  std::map<std::string, size_t> buckets;  // by version: the entry that becomes the bucket
  for (size_t i : updaters) {
    if (entries[i].manager == kOldUpdates && entries[i].subresource.empty()) {
      buckets.try_emplace(entries[i].api_version, i);
    }
  }
  size_t left = updaters.size();
  for (size_t i = 0; i < updaters.size() && left > kUpdatersMax; ++i) {
    ManagedEntry& entry = entries[updaters[i]];
    auto [it, first] = buckets.try_emplace(entry.api_version, updaters[i]);
    if (first || it->second == updaters[i]) continue;
    ManagedEntry& bucket = entries[it->second];
    bucket.manager = kOldUpdates;
    bucket.subresource.clear();
    bucket.fields.add(entry.fields);
    bucket.time = entry.time;
    bucket.unix_seconds = entry.unix_seconds;
    bucket.raw = {};
    entry.fields = {};
    --left;
  }
  drop_empty();
}

std::string ManagedFields::text() {
  if (entries.empty()) return "";
  auto key = [](const ManagedEntry& e) {
    return std::tie(e.operation, e.unix_seconds, e.manager, e.api_version, e.subresource);
  };
  std::stable_sort(entries.begin(), entries.end(),
                   [&](const ManagedEntry& a, const ManagedEntry& b) { return key(a) < key(b); });
  std::string out = "[";
  for (const ManagedEntry& entry : entries) {
    if (out.size() > 1) out += ',';
    write_entry(entry, out);
  }
  return out + "]";
}

bool is_reset(const Value* managed_fields) {
  return managed_fields != nullptr && managed_fields->is_array() && managed_fields->size() == 1 &&
         managed_fields->items[0].value.is_object() && managed_fields->items[0].value.empty();
}

const FieldSet& stripped_fields() {
  static const FieldSet set = [] {
    FieldSet out;
    for (std::string_view name : {"f:apiVersion", "f:kind", "f:metadata"}) {
      out.child(std::string(name)).set_member();
    }
    for (std::string_view name :
         {"f:name", "f:namespace", "f:creationTimestamp", "f:selfLink", "f:uid", "f:clusterName",
          "f:generation", "f:managedFields", "f:resourceVersion"}) {
      out.child("f:metadata").child(std::string(name)).set_member();
    }
    return out;
  }();
  return set;
}

void remove_foreign_fields(FieldSet& set, std::string_view subresource, const TypeInfo& type) {
  bool has_status = type.find("status") != nullptr && type.find("spec") != nullptr;
  if (subresource.empty() && has_status) set.remove("f:status");
  if (subresource == "status") set.remove("f:spec");
}

std::string splice_managed_fields(std::string_view object, const Value& root,
                                  std::string_view managed_fields) {
  constexpr std::string_view kKey = "managedFields";
  const Value* metadata = root.find("metadata");
  const Value* old = metadata != nullptr ? metadata->find(kKey) : nullptr;
  if (old != nullptr && !old->raw.empty()) {
    return replace_member(object, kKey, *old, managed_fields);
  }
  if (managed_fields.empty()) return std::string(object);
  std::string out(object);
  if (metadata != nullptr && metadata->is_object()) {
    size_t close =
        static_cast<size_t>(metadata->raw.data() - object.data()) + metadata->raw.size() - 1;
    out.insert(close,
               fmt::format("{}\"{}\":{}", metadata->raw.find('"') == metadata->raw.npos ? "" : ",",
                           kKey, managed_fields));
    return out;
  }
  if (metadata != nullptr) return out;  // null or malformed: not ours to mend
  size_t close = out.rfind('}');
  out.insert(close, fmt::format("{}\"metadata\":{{\"{}\":{}}}", root.empty() ? "" : ",", kKey,
                                managed_fields));
  return out;
}

std::string api_version_of(const TypeInfo& type) {
  return type.group.empty() ? std::string(type.version)
                            : fmt::format("{}/{}", type.group, type.version);
}

}  // namespace orch::api
