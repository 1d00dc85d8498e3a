#include "agent/node/certificate_renewal.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/base/log.h"
#include "orch/base/metrics.h"

namespace orch::agent {
namespace {

constexpr Seconds kLook{10};
constexpr Seconds kRetry{30};

bool is_due(const net::KeyPair& pair, WallTime now) {
  auto info = net::parse_certificate(pair.certificate_pem);
  return !info || now > info->not_after - (info->not_after - info->not_before) / 3;
}

bool is_for(const net::KeyPair& pair, const std::string& address) {
  const auto info = net::parse_certificate(pair.certificate_pem);
  if (!info) return false;
  const auto& all = info->ip_addresses;
  return std::find(all.begin(), all.end(), address) != all.end();
}

client::EventSubject node_subject(const std::string& name) {
  return {.api_version = "v1",
          .kind = "Node",
          .namespace_ = "",
          .name = name,
          .uid = name,
          .resource_version = "",
          .field_path = "",
          .component = "kubelet"};
}

}  // namespace

CertificateRenewal::CertificateRenewal(Env& env, Deps deps)
    : env_(env), deps_(std::move(deps)), strand_(env.executor.make_strand("node-certificates")) {}

std::shared_ptr<CertificateRenewal> CertificateRenewal::create(Env& env, Deps deps) {
  return std::shared_ptr<CertificateRenewal>(new CertificateRenewal(env, std::move(deps)));
}

void CertificateRenewal::start() {
  report(deps_.identity);
  strand_->post_after(kLook, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->look();
  });
}

void CertificateRenewal::report(const Identity& identity) const {
  for (const auto& [name, pair] : {std::pair{"client-kubelet", &identity.client},
                                   std::pair{"serving-kubelet", &identity.serving}}) {
    auto info = net::parse_certificate(pair->certificate_pem);
    if (!info) continue;
    metrics::gauge("orch_certificate_expiration_seconds",
                   "When the certificate expires, in seconds since 1970",
                   fmt::format("name=\"{}\"", name))
        .set(static_cast<double>(
            std::chrono::floor<Seconds>(info->not_after).time_since_epoch().count()));
  }
}

void CertificateRenewal::look() {
  if (stopped_) return;
  const WallTime now = env_.clock.now();
  Seconds again = kLook;
  Identity wanted = deps_.identity;
  const std::string address = deps_.address();
  const bool moved = !address.empty() && !is_for(wanted.serving, address);
  if (moved) wanted.node_ip = address;
  if (moved || is_due(wanted.client, now) || is_due(wanted.serving, now) ||
      !deps_.on_disk(wanted)) {
    auto renewed = deps_.renew(wanted);
    if (stopped_) return;
    const auto subject = node_subject(wanted.node_name);
    if (renewed) {
      if (moved) log::info("agent", "certificates are for the address {} now", address);
      deps_.identity = std::move(*renewed);
      {
        std::lock_guard lock(use_mutex_);
        if (stopped_) return;
        deps_.use(deps_.identity);
      }
      report(deps_.identity);
      log::info("agent", "certificates renewed");
      deps_.events.record(subject, "Normal", "CertificateRenewed",
                          "The agent's certificates are renewed");
      failing_ = false;
    } else {
      again = kRetry;
      log::warn("agent", "renewing certificates: {}", renewed.error());
      if (!failing_) {
        deps_.events.record(subject, "Warning", "CertificateRenewalFailed", renewed.error());
      }
      failing_ = true;
    }
  }
  strand_->post_after(again, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->look();
  });
}

}  // namespace orch::agent
