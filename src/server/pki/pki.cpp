#include "server/pki/pki.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/base/file.h"
#include "orch/base/log.h"
#include "orch/base/time_zone.h"

namespace orch::server {
namespace {

constexpr Seconds kCaValid{10 * 365 * 24 * 3600};
constexpr Seconds kBackdatedMax{3600};

using KeyPairResult = Result<net::KeyPair, std::string>;

// An empty file is what a power cut leaves behind: as good as none.
Result<std::string, std::string> read_if_there(const std::string& path) {
  if (!file_exists(path)) return std::string();
  return read_file(path);
}

Result<net::KeyPair, std::string> read_pair(const std::string& stem) {
  net::KeyPair pair;
  ORCH_TRY(pair.certificate_pem, read_if_there(stem + ".crt"));
  ORCH_TRY(pair.private_key_pem, read_if_there(stem + ".key"));
  return pair;
}

Result<Unit, std::string> write_pair(const std::string& stem, const net::KeyPair& pair) {
  ORCH_CHECK(write_file_atomic(stem + ".key", pair.private_key_pem, 0600));
  return write_file_atomic(stem + ".crt", pair.certificate_pem, 0644);
}

std::string date(WallTime at) {
  return TimeZone().rfc3339(std::chrono::floor<Seconds>(at).time_since_epoch().count());
}

// Somebody's own CA must be one: the message says what to mend.
Result<Unit, std::string> check_ca(const net::KeyPair& pair, const std::string& stem,
                                   WallTime now) {
  auto info = net::parse_certificate(pair.certificate_pem);
  if (!info) return Err(fmt::format("{}.crt: {}", stem, info.error()));
  if (auto usable = net::TlsServerContext::create({.key_pair = pair, .client_ca_pem = ""});
      !usable) {
    return Err(fmt::format("{}.key: {}", stem, usable.error()));
  }
  if (!info->is_ca) {
    return Err(
        fmt::format("{}.crt: its first certificate (\"{}\") is not a CA", stem, info->common_name));
  }
  if (now > info->not_after) {
    return Err(fmt::format("{}.crt: the CA expired on {}: see orch certificate rotate-ca", stem,
                           date(info->not_after)));
  }
  if (now < info->not_before) {
    return Err(
        fmt::format("{}.crt: the CA is not valid before {}, and this machine's clock says "
                    "{}: set the clock, or replace the CA",
                    stem, date(info->not_before), date(now)));
  }
  std::string roots;
  for (const auto& pem : net::pem_certificates(pair.certificate_pem)) {
    auto one = net::parse_certificate(pem);
    if (!one) return Err(fmt::format("{}.crt: {}", stem, one.error()));
    if (one->self_signed) roots += pem;
  }
  if (roots.empty()) {
    return Err(
        fmt::format("{}.crt: the CA is an intermediate one; append its issuers up to the "
                    "self-signed root",
                    stem));
  }
  if (!net::verify_chain(roots, pair.certificate_pem, now)) {
    return Err(
        fmt::format("{}.crt: the CA is not signed by the certificates that follow it", stem));
  }
  return Unit{};
}

KeyPairResult ca(const PkiOptions& options, const std::string& name) {
  const std::string stem = options.directory + "/" + name;
  ORCH_TRY(auto pair, read_pair(stem));
  if (!pair.certificate_pem.empty() && !pair.private_key_pem.empty()) {
    ORCH_CHECK(check_ca(pair, stem, options.now));
    return pair;
  }
  if (!pair.certificate_pem.empty()) {
    return Err(
        fmt::format("{0}.key is missing or empty but {0}.crt is there: restore the key, or "
                    "remove both to make a new CA (every client must then join anew)",
                    stem));
  }
  auto made = net::make_ca(fmt::format("orch-{}", name), options.now - kBackdatedMax, kCaValid);
  if (!made) return Err(fmt::format("{}: {}", stem, made.error()));
  ORCH_CHECK(write_pair(stem, *made));
  return std::move(*made);
}

bool covers(const std::vector<std::string>& have, const std::vector<std::string>& want) {
  return std::all_of(want.begin(), want.end(), [&](const std::string& name) {
    return std::find(have.begin(), have.end(), name) != have.end();
  });
}

// What follows the leaf.
std::string rest_of(const std::string& leaf_pem) {
  auto all = net::pem_certificates(leaf_pem);
  std::string out;
  for (size_t i = 1; i < all.size(); ++i) out += all[i];
  return out;
}

bool still_good(const net::KeyPair& pair, const net::KeyPair& issuer,
                const net::CertificateRequest& request, WallTime now) {
  if (pair.certificate_pem.empty() || pair.private_key_pem.empty()) return false;
  // A power cut between the two writes leaves a new key beside the old certificate.
  if (!net::TlsServerContext::create({.key_pair = pair, .client_ca_pem = ""})) return false;
  auto info = net::parse_certificate(pair.certificate_pem);
  return info && !needs_renewal(*info, now) && info->common_name == request.common_name &&
         covers(info->dns_names, request.dns_names) &&
         covers(info->ip_addresses, request.ip_addresses) &&
         rest_of(pair.certificate_pem) == chain_of(issuer) &&
         net::verify_chain(issuer.certificate_pem, pair.certificate_pem, now);
}

KeyPairResult leaf(const PkiOptions& options, const std::string& name, const net::KeyPair& issuer,
                   net::CertificateRequest request) {
  const std::string stem = options.directory + "/" + name;
  ORCH_TRY(auto pair, read_pair(stem));
  if (still_good(pair, issuer, request, options.now)) return pair;
  set_validity(request, issuer, options.now, options.leaf_valid);
  auto made = net::issue(issuer, request);
  if (!made) return Err(fmt::format("{}: {}", stem, made.error()));
  made->certificate_pem += chain_of(issuer);
  ORCH_CHECK(write_pair(stem, *made));
  if (!pair.certificate_pem.empty()) log::info("pki", "{}: issued anew", name);
  return std::move(*made);
}

Result<std::string, std::string> signing_key(const PkiOptions& options) {
  const std::string path = options.directory + "/service.key";
  ORCH_TRY(std::string pem, read_if_there(path));
  if (!pem.empty()) {
    if (auto point = net::ec_public_point(pem); !point) {
      return Err(fmt::format("{}: {}", path, point.error()));
    }
    return pem;
  }
  auto made = net::make_signing_key();
  if (!made) return Err(fmt::format("{}: {}", path, made.error()));
  ORCH_CHECK(write_file_atomic(path, *made, 0600));
  return std::move(*made);
}

}  // namespace

std::string chain_of(const net::KeyPair& ca) {
  std::string out;
  for (const auto& pem : net::pem_certificates(ca.certificate_pem)) {
    if (auto info = net::parse_certificate(pem); info && !info->self_signed) out += pem;
  }
  return out;
}

void set_validity(net::CertificateRequest& request, const net::KeyPair& ca, WallTime now,
                  Seconds valid) {
  request.not_before = now - std::min(kBackdatedMax, Seconds{valid.count() / 10});
  request.not_after = now + valid;
  if (auto info = net::parse_certificate(ca.certificate_pem)) {
    request.not_after = std::min(request.not_after, info->not_after);
  }
}

WallTime renewal_time(const net::CertificateInfo& info) {
  return info.not_after - (info.not_after - info.not_before) / 3;
}

bool needs_renewal(const net::CertificateInfo& info, WallTime now) {
  return now < info.not_before || now > renewal_time(info);
}

Result<Unit, std::string> Pki::refresh_leaves(const PkiOptions& options) {
  ORCH_TRY(serving, leaf(options, "serving-kube-apiserver", server_ca,
                         {.common_name = "kube-apiserver",
                          .organizations = {},
                          .dns_names = options.server_dns_names,
                          .ip_addresses = options.server_ips,
                          .server_auth = true}));
  ORCH_TRY(admin, leaf(options, "client-admin", client_ca,
                       {.common_name = "system:admin",
                        .organizations = {"system:masters"},
                        .client_auth = true}));
  ORCH_TRY(kubelet_client, leaf(options, "client-kube-apiserver", client_ca,
                                {.common_name = "system:apiserver",
                                 .organizations = {"system:masters"},
                                 .client_auth = true}));
  ORCH_TRY(auth_proxy, leaf(options, "client-auth-proxy", request_header_ca,
                            {.common_name = "system:auth-proxy", .client_auth = true}));
  return Unit{};
}

Result<Pki, std::string> Pki::load_or_create(const PkiOptions& options) {
  ORCH_CHECK(make_directories(options.directory, 0700));
  Pki pki;
  ORCH_TRY(pki.server_ca, ca(options, "server-ca"));
  ORCH_TRY(pki.client_ca, ca(options, "client-ca"));
  ORCH_TRY(pki.request_header_ca, ca(options, "request-header-ca"));
  ORCH_CHECK(pki.refresh_leaves(options));
  ORCH_TRY(pki.service_account_key_pem, signing_key(options));
  return pki;
}

Result<EtcdPki, std::string> EtcdPki::load_or_create(const PkiOptions& options) {
  ORCH_CHECK(make_directories(options.directory, 0700));
  EtcdPki pki;
  ORCH_TRY(pki.ca, orch::server::ca(options, "ca"));
  ORCH_TRY(pki.server, leaf(options, "server", pki.ca,
                            {.common_name = "etcd-server",
                             .organizations = {},
                             .dns_names = options.server_dns_names,
                             .ip_addresses = options.server_ips,
                             .server_auth = true}));
  ORCH_TRY(pki.client,
           leaf(options, "client", pki.ca, {.common_name = "etcd-client", .client_auth = true}));
  return pki;
}

}  // namespace orch::server
