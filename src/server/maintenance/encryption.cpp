#include "server/maintenance/encryption.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/codec.h"
#include "orch/base/crypto.h"
#include "orch/base/file.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"
#include "orch/base/time_zone.h"

namespace orch::server {
namespace {

using Kind = EncryptionProvider::Kind;
using storage::Bytes;
using storage::Error;
using storage::ErrorCode;

constexpr std::string_view kSealed = "k8s:enc:";
constexpr std::string_view kGcm = "k8s:enc:aesgcm:v1:", kCbc = "k8s:enc:aescbc:v1:";
constexpr std::string_view kRegistry = "/registry/";
constexpr size_t kKeyBytes = 32;

// -- the configuration

Result<EncryptionProvider, std::string> parse_keys(Kind kind, const api::JsonValue& value,
                                                   const std::string& where) {
  EncryptionProvider provider{kind, {}};
  for (const auto& item : value.get("keys").items()) {
    EncryptionKey key{item.get("name").text(), ""};
    if (key.name.empty() || key.name.find(':') != std::string::npos) {
      return Err(where + ".keys: a key needs a name without \":\"");
    }
    const auto secret = base64_decode(item.get("secret").text());
    const size_t size = secret ? secret->size() : 0;
    if (size != 16 && size != 24 && size != 32) {
      return Err(fmt::format("{}.keys: the secret of key \"{}\" must be 16, 24 or 32 bytes, base64",
                             where, key.name));
    }
    key.secret = *secret;
    provider.keys.push_back(std::move(key));
  }
  if (provider.keys.empty()) return Err(where + ".keys: at least one key is needed");
  return provider;
}

Result<EncryptionProvider, std::string> parse_provider(const api::JsonValue& value,
                                                       const std::string& where) {
  const auto members = value.members();
  if (members.size() != 1) return Err(where + ": exactly one provider is needed");
  const auto& [name, settings] = members.front();
  if (name == "identity") return EncryptionProvider{};
  if (name == "aesgcm") return parse_keys(Kind::kAesGcm, settings, where + ".aesgcm");
  if (name == "aescbc") return parse_keys(Kind::kAesCbc, settings, where + ".aescbc");
  if (name == "secretbox") {
    return Err(where +
               ".secretbox: not supported (its cipher, XSalsa20, is not in OpenSSL); use aesgcm");
  }
  if (name == "kms") {
    return Err(where + ".kms: not supported, keys are kept in this file; use aesgcm");
  }
  return Err(
      fmt::format("{}: provider \"{}\" is not one of aesgcm, aescbc, identity", where, name));
}

api::JsonValue json_of(const EncryptionProvider& provider) {
  auto out = api::JsonValue::object();
  if (provider.kind == Kind::kIdentity) {
    out.set("identity", api::JsonValue::object());
    return out;
  }
  auto keys = api::JsonValue::array();
  for (const EncryptionKey& key : provider.keys) {
    auto item = api::JsonValue::object();
    item.set("name", key.name);
    item.set("secret", base64_encode(key.secret));
    keys.push_back(std::move(item));
  }
  auto settings = api::JsonValue::object();
  settings.set("keys", std::move(keys));
  out.set(provider.kind == Kind::kAesGcm ? "aesgcm" : "aescbc", std::move(settings));
  return out;
}

// "group/plural" of a key of the registry, the core group as "core".
bool matches(std::string_view resource, std::string_view group, std::string_view plural) {
  const size_t dot = resource.find('.');
  const auto wanted = resource.substr(0, dot);
  const auto of = dot == std::string_view::npos ? std::string_view() : resource.substr(dot + 1);
  const bool same_group = of == "*" || (of.empty() ? group == "core" : of == group);
  return same_group && (wanted == "*" || wanted == plural);
}

// -- sealing

std::string_view prefix_of(Kind kind) { return kind == Kind::kAesGcm ? kGcm : kCbc; }

std::optional<std::string> seal(Kind kind, const EncryptionKey& key, std::string_view plain,
                                std::string_view bound) {
  return kind == Kind::kAesGcm ? aes_gcm_seal(key.secret, plain, bound)
                               : aes_cbc_seal(key.secret, plain);
}

std::optional<std::string> open(Kind kind, const EncryptionKey& key, std::string_view sealed,
                                std::string_view bound) {
  return kind == Kind::kAesGcm ? aes_gcm_open(key.secret, sealed, bound)
                               : aes_cbc_open(key.secret, sealed);
}

Error unreadable(std::string_view key, std::string_view why) {
  return Error{ErrorCode::kCorrupt, fmt::format("{}: the value is encrypted {}", key, why)};
}

EncryptionKey new_key(WallTime now, std::string secret) {
  const auto seconds = std::chrono::duration_cast<Seconds>(now.time_since_epoch()).count();
  std::string name = "key-" + TimeZone().rfc3339(seconds);
  std::erase_if(name, [](char c) { return c == ':'; });
  return {std::move(name), std::move(secret)};
}

}  // namespace

Result<EncryptionConfig, std::string> EncryptionConfig::parse(std::string_view text) {
  auto json = api::yaml_to_json(text);
  if (!json) return Err(json.error().message);
  ORCH_TRY(const api::JsonValue root, api::JsonValue::parse(*json));
  if (root.get("kind").text() != "EncryptionConfiguration") {
    return Err(std::string("kind: must be EncryptionConfiguration"));
  }
  EncryptionConfig config;
  size_t index = 0;
  for (const auto& item : root.get("resources").items()) {
    const std::string where = fmt::format("resources[{}]", index++);
    EncryptionRule rule;
    for (const auto& resource : item.get("resources").items()) {
      rule.resources.push_back(resource.text());
    }
    if (rule.resources.empty()) return Err(where + ".resources: at least one is needed");
    for (const auto& provider : item.get("providers").items()) {
      ORCH_TRY(auto parsed, parse_provider(provider, fmt::format("{}.providers[{}]", where,
                                                                 rule.providers.size())));
      rule.providers.push_back(std::move(parsed));
    }
    if (rule.providers.empty()) return Err(where + ".providers: at least one is needed");
    config.rules.push_back(std::move(rule));
  }
  if (config.rules.empty()) return Err(std::string("resources: at least one entry is needed"));
  return config;
}

std::string EncryptionConfig::json() const {
  auto root = api::JsonValue::object();
  root.set("apiVersion", "apiserver.config.k8s.io/v1");
  root.set("kind", "EncryptionConfiguration");
  auto list = api::JsonValue::array();
  for (const EncryptionRule& rule : rules) {
    auto item = api::JsonValue::object();
    auto resources = api::JsonValue::array();
    for (const auto& resource : rule.resources) resources.push_back(resource);
    item.set("resources", std::move(resources));
    auto providers = api::JsonValue::array();
    for (const auto& provider : rule.providers) providers.push_back(json_of(provider));
    item.set("providers", std::move(providers));
    list.push_back(std::move(item));
  }
  root.set("resources", std::move(list));
  return root.dump(2) + "\n";
}

const EncryptionRule* EncryptionConfig::rule_for(std::string_view key) const {
  if (!key.starts_with(kRegistry)) return nullptr;
  const auto rest = key.substr(kRegistry.size());
  const size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return nullptr;
  const auto group = rest.substr(0, slash);
  const auto plural = rest.substr(slash + 1, rest.find('/', slash + 1) - slash - 1);
  for (const EncryptionRule& rule : rules) {
    for (const auto& resource : rule.resources) {
      if (matches(resource, group, plural)) return &rule;
    }
  }
  return nullptr;
}

// -- the transformer

Encryption::Encryption(std::string own_file, std::string provider_file)
    : own_file_(std::move(own_file)),
      provider_file_(std::move(provider_file)),
      config_(std::make_shared<const EncryptionConfig>()) {}

Result<std::shared_ptr<Encryption>, std::string> Encryption::load(const std::string& own_file,
                                                                  const std::string& provider_file,
                                                                  bool wanted) {
  std::shared_ptr<Encryption> made(new Encryption(own_file, provider_file));
  const std::string& file = provider_file.empty() ? own_file : provider_file;
  if (!provider_file.empty() || file_exists(own_file)) {
    ORCH_TRY(const std::string text, read_file(file));
    auto config = EncryptionConfig::parse(text);
    if (!config) return Err(fmt::format("{}: {}", file, config.error()));
    made->config_ = std::make_shared<const EncryptionConfig>(std::move(*config));
  } else if (wanted) {
    ORCH_CHECK(made->change("enable", system_clock().now()));
  }
  return made;
}

Encryption::Config Encryption::config() const {
  std::lock_guard lock(mutex_);
  return config_;
}

storage::StoreResult<Bytes> Encryption::to_disk(std::string_view key, const Bytes& value) const {
  const Config config = this->config();
  const EncryptionRule* rule = config->rule_for(key);
  if (!rule || rule->providers.front().kind == Kind::kIdentity) return value;
  const EncryptionProvider& provider = rule->providers.front();
  const EncryptionKey& with = provider.keys.front();
  auto sealed = seal(provider.kind, with, *value, key);
  if (!sealed) return Err(Error{ErrorCode::kUnavailable, fmt::format("{}: cannot encrypt", key)});
  return std::make_shared<const std::string>(
      fmt::format("{}{}:{}", prefix_of(provider.kind), with.name, *sealed));
}

// Reads with any key there is, whatever rule the key falls under by now.
storage::StoreResult<storage::ValueTransformer::Read> Encryption::from_disk(
    std::string_view key, const Bytes& stored) const {
  const Config config = this->config();
  const EncryptionRule* rule = config->rule_for(key);
  const EncryptionProvider* writer = rule ? &rule->providers.front() : nullptr;
  const bool wanted = writer && writer->kind != Kind::kIdentity;
  const std::string_view text = *stored;
  if (!text.starts_with(kSealed)) return Read{stored, wanted};
  const Kind kind = text.starts_with(kCbc) ? Kind::kAesCbc : Kind::kAesGcm;
  if (!text.starts_with(prefix_of(kind))) {
    const auto provider =
        text.substr(kSealed.size(), text.find(':', kSealed.size()) - kSealed.size());
    return Err(
        unreadable(key, fmt::format("by the provider \"{}\", which orch does not have", provider)));
  }
  const auto rest = text.substr(prefix_of(kind).size());
  const auto name = rest.substr(0, rest.find(':'));
  const auto sealed = rest.substr(std::min(rest.size(), name.size() + 1));
  bool known = false;
  for (const EncryptionRule& any : config->rules) {
    for (const EncryptionProvider& provider : any.providers) {
      if (provider.kind != kind) continue;
      for (const EncryptionKey& with : provider.keys) {
        if (with.name != name) continue;
        known = true;
        auto plain = open(kind, with, sealed, key);
        if (!plain) continue;
        const bool current = wanted && writer->kind == kind && writer->keys.front().name == name;
        return Read{std::make_shared<const std::string>(std::move(*plain)), !current};
      }
    }
  }
  if (known) return Err(unreadable(key, fmt::format("and does not open with key \"{}\"", name)));
  return Err(unreadable(
      key,
      fmt::format("with key \"{}\", which is not known: restore {} as it was, or give the file "
                  "it was written with by --encryption-provider-config",
                  name, own_file_)));
}

// -- changing

Result<Unit, std::string> Encryption::save(EncryptionConfig config) {
  const size_t slash = own_file_.rfind('/');
  ORCH_CHECK(make_directories(own_file_.substr(0, slash), 0700));
  ORCH_CHECK(write_file_atomic(own_file_, config.json(), 0600));
  std::lock_guard lock(mutex_);
  config_ = std::make_shared<const EncryptionConfig>(std::move(config));
  return Unit{};
}

Result<Unit, std::string> Encryption::change(std::string_view action, WallTime now) {
  EncryptionConfig next = *config();
  if (next.rules.empty()) next.rules.push_back({{"secrets"}, {}});
  auto& providers = next.rules.front().providers;
  EncryptionProvider keys{Kind::kAesGcm, {}};
  const bool enabled = !providers.empty() && providers.front().kind != Kind::kIdentity;
  for (auto& provider : providers) {
    if (provider.kind == Kind::kAesGcm) keys = provider;
  }
  if (action == "rotate" && !enabled) {
    return Err(std::string("secrets are not encrypted: see `orch secrets enable`"));
  }
  if (action == "rotate" || (action == "enable" && keys.keys.empty())) {
    auto secret = random_key(kKeyBytes);
    if (!secret) return Err(std::string("no random numbers for a key"));
    EncryptionKey key = new_key(now, std::move(*secret));
    const auto taken = [&] {
      return std::any_of(keys.keys.begin(), keys.keys.end(),
                         [&](const EncryptionKey& other) { return other.name == key.name; });
    };
    while (taken()) key.name += "x";
    keys.keys.insert(keys.keys.begin(), std::move(key));
  }
  if (action == "disable") {
    providers = {EncryptionProvider{}};
    if (!keys.keys.empty()) providers.push_back(std::move(keys));
  } else {
    providers = {std::move(keys), EncryptionProvider{}};
  }
  return save(std::move(next));
}

Result<Unit, std::string> Encryption::forget_old_keys() {
  EncryptionConfig next = *config();
  bool changed = false;
  for (auto& rule : next.rules) {
    auto& first = rule.providers.front();
    if (first.kind == Kind::kIdentity || first.keys.size() < 2) continue;
    first.keys.resize(1);
    changed = true;
  }
  return changed ? save(std::move(next)) : Result<Unit, std::string>(Unit{});
}

Result<Unit, std::string> Encryption::settle(storage::KvStore& store) {
  if (store.stale_values() == 0) return Unit{};
  std::lock_guard lock(acting_);
  log::info("secrets", "{} stored values are not in their present form; writing the store anew",
            store.stale_values());
  if (auto done = store.rebuild(); !done) return Err(done.error().message);
  return provider_file_.empty() && !shared_ ? forget_old_keys() : Result<Unit, std::string>(Unit{});
}

Result<Unit, std::string> Encryption::act(std::string_view action, storage::KvStore& store,
                                          WallTime now) {
  std::lock_guard lock(acting_);
  if (action == "status") return Unit{};
  if (action != "enable" && action != "disable" && action != "rotate") {
    return Err(fmt::format("\"{}\" is not one of status, enable, disable, rotate", action));
  }
  if (!provider_file_.empty()) {
    return Err(fmt::format("the keys are kept in {}: change that file and start the server again",
                           provider_file_));
  }
  if (shared_) {
    return Err(
        std::string("several servers share the datastore and the keys: use "
                    "--encryption-provider-config, and change that file on each of them"));
  }
  ORCH_CHECK(change(action, now));
  if (auto done = store.rebuild(); !done) {
    return Err(
        fmt::format("the new configuration is in use, but older values are not yet in their "
                    "new form: {}; it is tried again at the next start",
                    done.error().message));
  }
  return forget_old_keys();
}

api::JsonValue Encryption::status(const storage::KvStore& store) const {
  const Config config = this->config();
  const EncryptionProvider* writer =
      config->rules.empty() ? nullptr : &config->rules.front().providers.front();
  auto out = api::JsonValue::object();
  const bool enabled = writer && writer->kind != Kind::kIdentity;
  out.set("enabled", enabled);
  if (enabled) {
    out.set("provider", writer->kind == Kind::kAesGcm ? "aesgcm" : "aescbc");
    out.set("key", writer->keys.front().name);
  }
  auto resources = api::JsonValue::array();
  for (const auto& rule : config->rules) {
    for (const auto& resource : rule.resources) resources.push_back(resource);
  }
  out.set("resources", std::move(resources));
  auto keys = api::JsonValue::array();
  for (const auto& rule : config->rules) {
    for (const auto& provider : rule.providers) {
      for (const auto& key : provider.keys) keys.push_back(key.name);
    }
  }
  out.set("keys", std::move(keys));
  out.set("configuration", provider_file_.empty() ? own_file_ : provider_file_);
  out.set("staleValues", store.stale_values());
  return out;
}

}  // namespace orch::server
