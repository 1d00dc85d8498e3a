// Bootstrap signer: signs the ConfigMap cluster-info in kube-public, where there is one, with every
// bootstrap token for signing, so that who knows a token can check it (detached JWS, HS256).
#include <fmt/format.h>

#include <map>

#include "orch/api/corev1.h"
#include "orch/base/crypto.h"
#include "orch/base/strings.h"
#include "server/controllers/bootstrap_signer.h"
#include "server/controllers/specs.h"

namespace orch::server {
namespace {

using namespace api;
using corev1::ConfigMap;
using corev1::Secret;

constexpr std::string_view kSignature = "jws-kubeconfig-";
const ObjectKey kInfo{"kube-public", "cluster-info"};

std::string hash(std::string_view first, std::string_view second) {
  Sha256 sha;
  sha.add(first);
  sha.add(second);
  return sha.finish();
}

// RFC 2104.
std::string hmac_sha256(const std::string& key, std::string_view text) {
  constexpr size_t kBlock = 64;
  std::string padded = key.size() > kBlock ? hash(key, "") : key;
  padded.resize(kBlock, '\0');
  std::string inner = padded, outer = padded;
  for (size_t i = 0; i < kBlock; ++i) {
    inner[i] = static_cast<char>(padded[i] ^ 0x36);
    outer[i] = static_cast<char>(padded[i] ^ 0x5c);
  }
  return hash(outer, hash(inner, text));
}

std::string field(const Secret& secret, const char* key) {
  auto found = secret.data.find(key);
  return found == secret.data.end() ? "" : found->second;
}

bool is_token(const Secret& secret) {
  return secret.metadata.namespace_ == "kube-system" &&
         secret.type_ == "bootstrap.kubernetes.io/token";
}

bool signs(const Secret& secret, WallTime now) {
  if (!is_token(secret) || secret.metadata.deletionTimestamp) return false;
  const std::string id = field(secret, "token-id");
  if (id.empty() || field(secret, "token-secret").empty()) return false;
  if (secret.metadata.name != "bootstrap-token-" + id) return false;
  if (const std::string expiration = field(secret, "expiration"); !expiration.empty()) {
    const auto until = Time::parse(expiration);
    if (!until || until->wall() < now) return false;
  }
  return field(secret, "usage-bootstrap-signing") == "true";
}

class BootstrapSigner final : public client::Reconciler {
 public:
  explicit BootstrapSigner(client::ControllerContext& context)
      : context_(context),
        maps_(context.informers.lister<ConfigMap>()),
        secrets_(context.informers.lister<Secret>()) {}

  client::ReconcileResult reconcile(const ObjectKey&) override {
    const auto info = maps_.get(kInfo.namespace_, kInfo.name);
    if (!info || info->metadata.deletionTimestamp) return client::done();
    auto kubeconfig = info->data.find("kubeconfig");
    if (kubeconfig == info->data.end() || kubeconfig->second.empty()) return client::done();
    ConfigMap changed = *info;
    std::erase_if(changed.data,
                  [](const auto& entry) { return entry.first.starts_with(kSignature); });
    const WallTime now = context_.env.clock.now();
    for (const auto& secret : secrets_.list("kube-system")) {
      if (!signs(*secret, now)) continue;
      const std::string id = field(*secret, "token-id");
      changed.data[std::string(kSignature) + id] =
          detached_jws(kubeconfig->second, id, field(*secret, "token-secret"));
    }
    if (changed.data == info->data) return client::done();
    auto written = context_.client.update(changed);
    if (!written && !written.error().is("NotFound")) return Err(written.error());
    return client::done();
  }

 private:
  client::ControllerContext context_;
  client::Lister<ConfigMap> maps_;
  client::Lister<Secret> secrets_;
};

}  // namespace

std::string detached_jws(std::string_view content, const std::string& id,
                         const std::string& secret) {
  const std::string header = base64url_encode(fmt::format(R"({{"alg":"HS256","kid":"{}"}})", id));
  const std::string signed_text = header + "." + base64url_encode(content);
  return header + ".." + base64url_encode(hmac_sha256(secret, signed_text));
}

client::ControllerSpec bootstrap_signer(client::ControllerContext&, const ControllersConfig&) {
  return {.name = "bootstrap-signer-controller",
          .watches = {client::mapped<ConfigMap>([](const ConfigMap& map) -> std::vector<ObjectKey> {
                        if (key_of(map) != kInfo) return {};
                        return {kInfo};
                      }),
                      client::mapped<Secret>([](const Secret& secret) -> std::vector<ObjectKey> {
                        if (!is_token(secret)) return {};
                        return {kInfo};
                      })},
          .strands = 1,
          .make = [](client::ControllerContext& c) -> std::unique_ptr<client::Reconciler> {
            return std::make_unique<BootstrapSigner>(c);
          },
          .initial_keys = {}};
}

}  // namespace orch::server
