// Server-side apply (KEP-555): merge by type, ownership per manager, conflicts, removal of fields
// that are no longer applied. Rules and texts are those of structured-merge-diff and apimachinery's
// managedfields.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "api/patch/managed_fields.h"
#include "api/patch/merge_json.h"
#include "api/patch/typed.h"
#include "orch/api/patch.h"

namespace orch::api {
namespace {

using doc::Value;

constexpr std::string_view kBeforeFirstApply = "before-first-apply";
constexpr size_t kAnnotationsMaxBytes = 256 * 1024;

struct Conflict {
  std::string manager;  // as shown
  std::string path;
};

std::string shown_manager(const ManagedEntry& entry) {
  std::string out = go_quoted(entry.manager);
  if (!entry.subresource.empty()) {
    out += fmt::format(" with subresource {}", go_quoted(entry.subresource));
  }
  if (!entry.is_apply()) out += fmt::format(" using {}", entry.api_version);
  return out;
}

Error conflict_error(const std::vector<Conflict>& conflicts) {
  std::vector<Cause> causes;
  std::map<std::string, std::string> lines;
  for (const Conflict& c : conflicts) {
    causes.push_back({"FieldManagerConflict", "conflict with " + c.manager, c.path});
    lines[c.manager] += fmt::format("\n- {}", c.path);
  }
  if (conflicts.size() == 1) {
    return apply_conflict(std::move(causes),
                          fmt::format("Apply failed with 1 conflict: conflict with {}: {}",
                                      conflicts[0].manager, conflicts[0].path));
  }
  std::string message;
  for (const auto& [manager, paths] : lines) {
    if (!message.empty()) message += '\n';
    message += fmt::format("conflicts with {}:{}", manager, paths);
  }
  return apply_conflict(std::move(causes), fmt::format("Apply failed with {} conflicts: {}",
                                                       conflicts.size(), message));
}

std::string_view annotation(const Value& root, std::string_view key) {
  const Value* metadata = root.find("metadata");
  const Value* annotations = metadata != nullptr ? metadata->find("annotations") : nullptr;
  return annotations != nullptr ? annotations->string_at(key) : std::string_view();
}

class Apply {
 public:
  Apply(const ApplyRequest& request, const TypeInfo& type)
      : request_(request),
        type_(type),
        schema_(Schema::of(type)),
        create_(request.live.empty()),
        live_(doc::object_value()) {}

  ApiResult<std::string> run() {
    ORCH_CHECK(read());
    FieldSet set = typed::field_set(applied_, schema_);
    remove_foreign_fields(set, request_.subresource, type_);
    set.subtract(stripped_fields());
    ManagedEntry* previous = managed_.find(self_);
    FieldSet last;
    if (previous != nullptr) {
      last = previous->fields;
      remove_foreign_fields(last, request_.subresource, type_);
      same_set_ = previous->fields == set && previous->api_version == self_.api_version;
    }
    self_.fields = std::move(set);
    merge(last);
    ORCH_CHECK(resolve_conflicts());
    return finish(previous != nullptr);
  }

 private:
  ApiResult<Unit> read() {
    if (!create_) {
      auto live = doc::parse(request_.live, arena_);
      if (!live) return Err(internal_error(live.error().message));
      live_ = std::move(live).value();
    }
    auto applied = doc::parse(request_.applied, arena_);
    if (!applied) {
      return Err(bad_request("error decoding YAML: " + applied.error().message));
    }
    if (!applied->is_object()) {
      return Err(
          bad_request(fmt::format("error decoding YAML: json: cannot unmarshal {} into Go "
                                  "value of type map[string]interface {{}}",
                                  doc::go_kind(*applied))));
    }
    applied_ = std::move(applied).value();
    ORCH_CHECK(check_applied());
    self_.manager = request_.manager.empty() ? "unknown" : request_.manager;
    self_.operation = "Apply";
    self_.api_version = api_version_of(type_);
    self_.subresource = request_.subresource;
    read_managed_fields();
    return Unit{};
  }

  ApiResult<Unit> check_applied() {
    if (applied_.string_at("kind").empty()) {
      return Err(bad_request(
          fmt::format("error decoding YAML: Object 'Kind' is missing in '{}'", request_.applied)));
    }
    std::string_view version = applied_.string_at("apiVersion");
    if (version != api_version_of(type_)) {
      return Err(
          bad_request(fmt::format("Incorrect version specified in apply patch. Specified "
                                  "patch version: {}, expected: {}",
                                  version, api_version_of(type_))));
    }
    Value* metadata = applied_.find("metadata");
    if (metadata != nullptr && metadata->is_object()) {
      const Value* sent = metadata->find("managedFields");
      if (sent != nullptr && !sent->is_null()) {
        return Err(bad_request("metadata.managedFields must be nil"));
      }
      metadata->erase("managedFields");
      // Printed by every client that encodes a Go struct; says nothing.
      const Value* created = metadata->find("creationTimestamp");
      if (created != nullptr && created->is_null()) metadata->erase("creationTimestamp");
    }
    std::vector<std::string> findings = typed::check(applied_, schema_);
    if (findings.empty()) return Unit{};
    std::string text = findings.size() == 1
                           ? findings[0]
                           : fmt::format("errors:\n  {}", fmt::join(findings, "\n  "));
    std::string_view name = metadata != nullptr ? metadata->string_at("name") : "";
    std::string_view ns = metadata != nullptr ? metadata->string_at("namespace") : "";
    return Err(
        plain_error(fmt::format("failed to create typed patch object ({}/{}; {}, Kind={}): {}", ns,
                                name, version, applied_.string_at("kind"), text)));
  }

  void read_managed_fields() {
    Value* metadata = live_.find("metadata");
    const Value* stored = metadata != nullptr ? metadata->find("managedFields") : nullptr;
    if (auto managed = ManagedFields::parse(stored)) managed_ = std::move(*managed);
    if (stored != nullptr) stored_text_ = stored->raw;
    if (!managed_.entries.empty() || create_) return;
    // Fields from before anybody applied belong to a manager of their own.
    const Value nothing = doc::object_value();
    ManagedEntry before;
    before.manager = kBeforeFirstApply;
    before.operation = "Update";
    before.api_version = self_.api_version;
    before.fields = typed::compare(&nothing, &live_, schema_).changed;
    before.fields.subtract(stripped_fields());
    remove_foreign_fields(before.fields, request_.subresource, type_);
    before.stamp(request_.now);
    if (!before.fields.empty()) managed_.entries.push_back(std::move(before));
  }

  // Lays the configuration over the live object, minus what it no longer names.
  void merge(const FieldSet& last) {
    merged_ = typed::merge(live_, applied_, schema_);
    if (!last.empty()) {
      FieldSet owned = self_.fields;
      for (const ManagedEntry& entry : managed_.entries) {
        if (!entry.same_writer(self_)) owned.add(entry.fields);
      }
      typed::prune(merged_, schema_, last, owned);
    }
    const Value nothing = doc::object_value();
    difference_ = typed::compare(create_ ? &nothing : &live_, &merged_, schema_);
    for (FieldSet* side : {&difference_.changed, &difference_.removed}) {
      remove_foreign_fields(*side, request_.subresource, type_);
    }
  }

  ApiResult<Unit> resolve_conflicts() {
    std::vector<Conflict> conflicts;
    FieldSet contested;
    std::vector<const ManagedEntry*> others;
    for (const ManagedEntry& entry : managed_.entries) {
      if (!entry.same_writer(self_)) others.push_back(&entry);
    }
    std::stable_sort(others.begin(), others.end(),
                     [](const auto* a, const auto* b) { return a->manager < b->manager; });
    const FieldSet allowed = request_.force ? FieldSet{} : allowed_conflicts();
    for (const ManagedEntry* entry : others) {
      contested = entry->fields.intersect(difference_.changed);
      contested.subtract(allowed);
      contested.for_each([&](const std::string& path) {
        conflicts.push_back({shown_manager(*entry), path});
      });
    }
    if (!conflicts.empty() && !request_.force) return Err(conflict_error(conflicts));
    return Unit{};
  }

  // kubectl moves from client-side to server-side apply: what its annotation says it applied, and
  // the object still has, is its own.
  FieldSet allowed_conflicts() {
    std::string_view text = annotation(live_, kLastApplied);
    if (self_.manager != "kubectl" || text.empty()) return {};
    auto last = doc::parse(text, arena_);
    if (!last || last->string_at("apiVersion") != self_.api_version) return {};
    if (!typed::check(*last, schema_).empty()) return {};
    FieldSet fields = typed::field_set(*last, schema_);
    typed::Comparison drift = typed::compare(&*last, &live_, schema_);
    fields.subtract(drift.changed);
    fields.subtract(drift.removed);
    return fields;
  }

  ApiResult<std::string> finish(bool had_entry) {
    bool same_object = !create_ && doc::same(live_, merged_);
    ManagedEntry* own = managed_.find(self_);
    managed_.take_from_others(difference_.changed, difference_.removed, own);
    if (!same_object || !had_entry || !same_set_) {
      self_.stamp(request_.now);
      if (own != nullptr) {
        *own = std::move(self_);
      } else {
        managed_.entries.push_back(std::move(self_));
      }
    }
    managed_.drop_empty();
    bool untouched = same_object && std::all_of(managed_.entries.begin(), managed_.entries.end(),
                                                [](const auto& e) { return !e.raw.empty(); });
    std::string managed_text = untouched ? std::string(stored_text_) : managed_.text();
    sync_last_applied();
    if (same_object && !annotation_changed_) {
      if (untouched) return std::string(request_.live);
      return splice_managed_fields(request_.live, live_, managed_text);
    }
    Value* metadata = merged_.find("metadata");
    if (metadata == nullptr || !metadata->is_object()) {
      merged_.at("metadata") = doc::object_value();
      metadata = merged_.find("metadata");
    }
    metadata->erase("managedFields");
    if (!managed_text.empty()) {
      auto managed = doc::parse(arena_.keep(std::move(managed_text)), arena_);
      if (!managed) return Err(internal_error(managed.error().message));
      metadata->at("managedFields") = std::move(managed).value();
    }
    return doc::to_text(merged_);
  }

  // An object that kubectl once applied by the client keeps its annotation true.
  void sync_last_applied() {
    if (request_.manager != "kubectl" || annotation(live_, kLastApplied).empty()) return;
    Value applied = applied_;
    if (Value* metadata = applied.find("metadata")) {
      if (Value* annotations = metadata->find("annotations")) annotations->erase(kLastApplied);
    }
    std::string text = doc::to_text(applied) + "\n";
    if (text == annotation(merged_, kLastApplied)) return;
    annotation_changed_ = true;
    Value& annotations = *merged_.find("metadata")->find("annotations");
    size_t total = text.size();
    for (const auto& member : annotations.items) {
      if (member.key != kLastApplied) total += member.key.size() + member.value.text.size();
    }
    if (total > kAnnotationsMaxBytes) {
      annotations.erase(kLastApplied);
    } else {
      annotations.at(kLastApplied) = doc::string_value(arena_.keep(std::move(text)));
    }
  }

  const ApplyRequest& request_;
  const TypeInfo& type_;
  Schema schema_;
  doc::Arena arena_;
  bool create_;
  Value live_, applied_, merged_;
  ManagedFields managed_;
  std::string_view stored_text_;
  ManagedEntry self_;
  typed::Comparison difference_;
  bool same_set_ = false;  // the manager applied the same fields before
  bool annotation_changed_ = false;
};

}  // namespace

ApiResult<std::string> server_side_apply(const ApplyRequest& request, const TypeInfo& type) {
  return Apply(request, type).run();
}

}  // namespace orch::api
