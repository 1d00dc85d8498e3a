#include "server/pki/certificate_keeper.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "orch/base/log.h"
#include "orch/base/metrics.h"
#include "orch/base/time_zone.h"

namespace orch::server {
namespace {

constexpr Seconds kLook{10};
constexpr Seconds kRefreshAtLeast{3600};
constexpr Seconds kRetry{60};
constexpr Seconds kWarnAgain{24 * 3600};
// A CA is not renewed by itself: its end is told a year before, or in the last third of a short
// life.
constexpr Seconds kCaWarning{365 * 24 * 3600};

constexpr std::string_view kFiles[] = {
    "serving-kube-apiserver.crt", "serving-kube-apiserver.key", "client-admin.crt",
    "client-admin.key",           "client-kube-apiserver.crt",  "client-kube-apiserver.key",
    "client-auth-proxy.crt",      "client-auth-proxy.key",      "etcd/server.crt"};

std::string date(WallTime at) {
  return TimeZone().rfc3339(std::chrono::floor<Seconds>(at).time_since_epoch().count());
}

}  // namespace

void report_expiry(std::string_view name, std::string_view certificate_pem) {
  auto info = net::parse_certificate(certificate_pem);
  if (!info) return;
  metrics::gauge("orch_certificate_expiration_seconds",
                 "When the certificate expires, in seconds since 1970",
                 fmt::format("name=\"{}\"", name))
      .set(static_cast<double>(
          std::chrono::floor<Seconds>(info->not_after).time_since_epoch().count()));
}

CertificateKeeper::CertificateKeeper(Env& env, Deps deps)
    : env_(env), deps_(std::move(deps)), strand_(env.executor.make_strand("certificates")) {}

std::shared_ptr<CertificateKeeper> CertificateKeeper::create(Env& env, Deps deps) {
  return std::shared_ptr<CertificateKeeper>(new CertificateKeeper(env, std::move(deps)));
}

void CertificateKeeper::start() {
  strand_->post([self = shared_from_this()] { self->repeat(); });
}

void CertificateKeeper::repeat() {
  if (stopped_) return;
  check();
  strand_->post_after(kLook, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->repeat();
  });
}

// Sizes and times of the files, and this machine's addresses.
std::string CertificateKeeper::fingerprint() const {
  std::string out;
  for (const auto& file : kFiles) {
    struct stat info {};
    if (stat(fmt::format("{}/{}", deps_.options.directory, file).c_str(), &info) != 0) continue;
    out +=
        fmt::format("{}:{}:{}.{};", file, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
  }
  if (deps_.addresses) {
    for (const auto& address : deps_.addresses()) out += address + ";";
  }
  return out;
}

void CertificateKeeper::check() {
  const WallTime now = env_.clock.now();
  if (now < due_ && fingerprint() == seen_) return;
  refresh();
  seen_ = fingerprint();
}

void CertificateKeeper::refresh() {
  PkiOptions options = deps_.options;
  options.now = env_.clock.now();
  if (deps_.addresses) {
    for (auto& address : deps_.addresses()) {
      auto& ips = options.server_ips;
      if (std::find(ips.begin(), ips.end(), address) == ips.end()) ips.push_back(address);
    }
  }
  const Pki before = deps_.pki;
  auto refreshed = deps_.pki.refresh_leaves(options);
  due_ = options.now + kRefreshAtLeast;
  if (!refreshed) {
    due_ = options.now + kRetry;
    log::error("pki", "certificates cannot be renewed: {}", refreshed.error());
    if (deps_.events != nullptr) {
      deps_.events->record(deps_.subject, "Warning", "CertificateRenewalFailed", refreshed.error());
    }
  }
  struct Leaf {
    std::string_view name;
    const net::KeyPair& was;
    const net::KeyPair& is;
    const std::function<void(const net::KeyPair&)>& use;
  };
  const Pki& pki = deps_.pki;
  for (const Leaf& leaf :
       {Leaf{"serving-kube-apiserver", before.serving, pki.serving, deps_.on_serving},
        Leaf{"client-admin", before.admin, pki.admin, deps_.on_admin},
        Leaf{"client-kube-apiserver", before.kubelet_client, pki.kubelet_client,
             deps_.on_kubelet_client},
        Leaf{"client-auth-proxy", before.auth_proxy, pki.auth_proxy, deps_.on_auth_proxy}}) {
    report_expiry(leaf.name, leaf.is.certificate_pem);
    auto info = net::parse_certificate(leaf.is.certificate_pem);
    if (info) due_ = std::min(due_, std::max(renewal_time(*info), options.now) + Seconds{1});
    if (leaf.is.certificate_pem == leaf.was.certificate_pem) continue;
    if (leaf.use) leaf.use(leaf.is);
    if (info && deps_.events != nullptr) {
      deps_.events->record(deps_.subject, "Normal", "CertificateRenewed",
                           fmt::format("Certificate {} is in use, valid until {}", leaf.name,
                                       date(info->not_after)));
    }
  }
  if (deps_.on_etcd) refresh_etcd(options);
  warn_of_authorities();
}

void CertificateKeeper::refresh_etcd(const PkiOptions& options) {
  PkiOptions own = options;
  own.directory += "/etcd";
  own.server_dns_names = {"localhost"};
  auto etcd = EtcdPki::load_or_create(own);
  if (!etcd) {
    log::error("pki", "the etcd API's certificate cannot be renewed: {}", etcd.error());
    return;
  }
  report_expiry("etcd-server", etcd->server.certificate_pem);
  const bool changed = !etcd_pem_.empty() && etcd_pem_ != etcd->server.certificate_pem;
  etcd_pem_ = etcd->server.certificate_pem;
  if (changed) deps_.on_etcd(etcd->server);
}

void CertificateKeeper::warn_of_authorities() {
  const WallTime now = env_.clock.now();
  const bool again = warned_ == WallTime{} || now - warned_ >= kWarnAgain;
  for (const auto& [name, ca] :
       {std::pair{"server-ca", &deps_.pki.server_ca}, std::pair{"client-ca", &deps_.pki.client_ca},
        std::pair{"request-header-ca", &deps_.pki.request_header_ca}}) {
    report_expiry(name, ca->certificate_pem);
    auto info = net::parse_certificate(ca->certificate_pem);
    if (!info) continue;
    const auto life = info->not_after - info->not_before;
    if (info->not_after - now > std::min<decltype(life)>(kCaWarning, life / 3)) continue;
    if (!again) continue;
    warned_ = now;
    const std::string text = fmt::format(
        "Certificate authority {} expires on {}: run orch certificate rotate-ca on the server",
        name, date(info->not_after));
    log::warn("pki", "{}", text);
    if (deps_.events != nullptr) {
      deps_.events->record(deps_.subject, "Warning", "CertificateExpiring", text);
    }
  }
}

}  // namespace orch::server
