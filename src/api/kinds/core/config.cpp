// core/v1 ConfigMap, Secret, ServiceAccount.
#include <fmt/format.h>

#include <algorithm>

#include "api/kinds/checks.h"
#include "orch/api/codec.h"
#include "orch/api/json_value.h"
#include "orch/base/strings.h"

namespace orch::api {
namespace {

using corev1::ConfigMap;
using corev1::Secret;
using corev1::ServiceAccount;

constexpr size_t kDataBytesMax = 1024 * 1024;

using Data = std::map<std::string, std::string>;

// The bytes of the values.
size_t validate_keys(const Data& data, std::string_view field, FieldErrors& errors,
                     const Data& other = {}, std::string_view other_field = "") {
  size_t bytes = 0;
  for (const auto& [key, value] : data) {
    const std::string path = keyed(field, key);
    validate_by(check_config_key, key, path, errors);
    if (other.count(key) != 0) {
      errors.invalid(path, quoted(key), fmt::format("duplicate of key present in {}", other_field));
    }
    bytes += value.size();
  }
  return bytes;
}

void validate_kept(const std::optional<bool>& now, const std::optional<bool>& old,
                   std::initializer_list<std::pair<const char*, bool>> changed,
                   FieldErrors& errors) {
  constexpr const char* kSet = "field is immutable when `immutable` is set";
  if (!old.value_or(false)) return;
  if (!now.value_or(false)) errors.forbidden("immutable", kSet);
  for (const auto& [field, differs] : changed) {
    if (differs) errors.forbidden(field, kSet);
  }
}

void validate_config_map(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& now = static_cast<const ConfigMap&>(object);
  if (old_object != nullptr) {
    const auto& old = static_cast<const ConfigMap&>(*old_object);
    validate_kept(
        now.immutable, old.immutable,
        {{"data", now.data != old.data}, {"binaryData", now.binaryData != old.binaryData}}, errors);
  }
  const size_t bytes = validate_keys(now.data, "data", errors, now.binaryData, "binaryData") +
                       validate_keys(now.binaryData, "binaryData", errors, now.data, "data");
  if (bytes > kDataBytesMax) errors.too_long("", static_cast<int64_t>(kDataBytesMax));
}

// stringData is a write-only convenience: it ends up in data.
void secret_defaults(Object& object) {
  auto& secret = static_cast<Secret&>(object);
  if (secret.type_.empty()) secret.type_ = "Opaque";
  for (auto& [key, value] : secret.stringData) secret.data[key] = value;
  secret.stringData.clear();
}

void require_keys(const Secret& secret, const std::vector<std::string>& keys, FieldErrors& errors) {
  for (const auto& key : keys) {
    if (secret.data.count(key) == 0) errors.required(keyed("data", key));
  }
}

// What is wrong is said, the secret is not.
void require_json(const Secret& secret, const std::string& key, FieldErrors& errors) {
  const auto it = secret.data.find(key);
  if (it == secret.data.end()) return errors.required(keyed("data", key));
  if (const auto parsed = JsonValue::parse(it->second); !parsed) {
    errors.invalid(keyed("data", key), "\"<secret contents redacted>\"", parsed.error());
  }
}

void validate_secret(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& now = static_cast<const Secret&>(object);
  if (old_object != nullptr) {
    const auto& old = static_cast<const Secret&>(*old_object);
    check_unchanged(now.type_ == old.type_, "type", quoted(now.type_), errors);
    validate_kept(now.immutable, old.immutable, {{"data", now.data != old.data}}, errors);
  }
  if (validate_keys(now.data, "data", errors) > kDataBytesMax) {
    errors.too_long("data", static_cast<int64_t>(kDataBytesMax));
  }
  constexpr const char* kAccount = "kubernetes.io/service-account.name";
  const auto account = now.metadata.annotations.find(kAccount);
  if (now.type_ == "kubernetes.io/service-account-token" &&
      (account == now.metadata.annotations.end() || account->second.empty())) {
    errors.required(keyed("metadata.annotations", kAccount));
  }
  if (now.type_ == "kubernetes.io/tls") require_keys(now, {"tls.crt", "tls.key"}, errors);
  if (now.type_ == "kubernetes.io/ssh-auth") require_keys(now, {"ssh-privatekey"}, errors);
  if (now.type_ == "kubernetes.io/basic-auth" && now.data.count("username") == 0 &&
      now.data.count("password") == 0) {
    require_keys(now, {"username", "password"}, errors);
  }
  if (now.type_ == "kubernetes.io/dockercfg") require_json(now, ".dockercfg", errors);
  if (now.type_ == "kubernetes.io/dockerconfigjson") {
    require_json(now, ".dockerconfigjson", errors);
  }
}

// Of the secrets an account lists only the names count.
void prepare_account(Object& object, const Object*, const StrategyContext&) {
  for (auto& reference : static_cast<ServiceAccount&>(object).secrets) {
    corev1::ObjectReference kept;
    kept.name = std::move(reference.name);
    reference = std::move(kept);
  }
}

}  // namespace

ResourceInfo config_maps_resource() {
  auto info = stored_resource<ConfigMap>("configmaps", "configmap", true);
  info.short_names = {"cm"};
  info.validate = validate_config_map;
  info.columns = {name_column(), column("Data", "string", "How many keys it has."), age_column()};
  info.row = [](const Object& object, WallTime now) -> std::vector<Cell> {
    const auto& map = static_cast<const ConfigMap&>(object);
    return {name_cell(object), text(std::to_string(map.data.size() + map.binaryData.size())),
            age_cell(object, now)};
  };
  return info;
}

ResourceInfo secrets_resource() {
  auto info = stored_resource<Secret>("secrets", "secret", true);
  info.set_defaults = secret_defaults;
  info.validate = validate_secret;
  info.selectable_fields = {"type"};
  info.field_value = [](const Object& object, std::string_view) {
    return static_cast<const Secret&>(object).type_;
  };
  info.columns = {name_column(), column("Type", "string", "What it is for."),
                  column("Data", "string", "How many keys it has."), age_column()};
  info.row = [](const Object& object, WallTime now) -> std::vector<Cell> {
    const auto& secret = static_cast<const Secret&>(object);
    return {name_cell(object), text(secret.type_), text(std::to_string(secret.data.size())),
            age_cell(object, now)};
  };
  return info;
}

ResourceInfo service_accounts_resource() {
  auto info = stored_resource<ServiceAccount>("serviceaccounts", "serviceaccount", true);
  info.short_names = {"sa"};
  info.prepare = prepare_account;
  info.columns = {name_column(), column("Secrets", "string", "How many secrets it lists."),
                  age_column()};
  info.row = [](const Object& object, WallTime now) -> std::vector<Cell> {
    const auto& account = static_cast<const ServiceAccount&>(object);
    return {name_cell(object), text(std::to_string(account.secrets.size())), age_cell(object, now)};
  };
  return info;
}

}  // namespace orch::api
