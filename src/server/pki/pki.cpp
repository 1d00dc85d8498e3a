#include "server/pki/pki.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/base/file.h"
#include "orch/base/log.h"

namespace orch::server {
namespace {

constexpr Seconds kCaValid{10 * 365 * 24 * 3600};
constexpr Seconds kBackdated{3600};  // peers' clocks may be behind

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

KeyPairResult ca(const PkiOptions& options, const std::string& name) {
  const std::string stem = options.directory + "/" + name;
  ORCH_TRY(auto pair, read_pair(stem));
  if (!pair.certificate_pem.empty() && !pair.private_key_pem.empty()) {
    if (auto info = net::parse_certificate(pair.certificate_pem); !info) {
      return Err(fmt::format("{}.crt: {}", stem, info.error()));
    }
    if (auto usable = net::TlsServerContext::create({.key_pair = pair, .client_ca_pem = ""});
        !usable) {
      return Err(fmt::format("{}.key: {}", stem, usable.error()));
    }
    return pair;
  }
  if (!pair.certificate_pem.empty()) {
    return Err(
        fmt::format("{0}.key is missing or empty but {0}.crt is there: restore the key, or "
                    "remove both to make a new CA (every client must then join anew)",
                    stem));
  }
  auto made = net::make_ca(fmt::format("orch-{}", name), options.now - kBackdated, kCaValid);
  if (!made) return Err(fmt::format("{}: {}", stem, made.error()));
  ORCH_CHECK(write_pair(stem, *made));
  return std::move(*made);
}

bool covers(const std::vector<std::string>& have, const std::vector<std::string>& want) {
  return std::all_of(want.begin(), want.end(), [&](const std::string& name) {
    return std::find(have.begin(), have.end(), name) != have.end();
  });
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
         net::verify_chain(issuer.certificate_pem, pair.certificate_pem, now);
}

KeyPairResult leaf(const PkiOptions& options, const std::string& name, const net::KeyPair& issuer,
                   net::CertificateRequest request) {
  const std::string stem = options.directory + "/" + name;
  ORCH_TRY(auto pair, read_pair(stem));
  if (still_good(pair, issuer, request, options.now)) return pair;
  request.not_before = options.now - kBackdated;
  request.not_after = options.now + kLeafValid;
  auto made = net::issue(issuer, request);
  if (!made) return Err(fmt::format("{}: {}", stem, made.error()));
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

bool needs_renewal(const net::CertificateInfo& info, WallTime now) {
  return now < info.not_before || now > info.not_after - (info.not_after - info.not_before) / 3;
}

Result<Pki, std::string> Pki::load_or_create(const PkiOptions& options) {
  ORCH_CHECK(make_directories(options.directory, 0700));
  Pki pki;
  ORCH_TRY(pki.server_ca, ca(options, "server-ca"));
  ORCH_TRY(pki.client_ca, ca(options, "client-ca"));
  ORCH_TRY(pki.serving, leaf(options, "serving-kube-apiserver", pki.server_ca,
                             {.common_name = "kube-apiserver",
                              .organizations = {},
                              .dns_names = options.server_dns_names,
                              .ip_addresses = options.server_ips,
                              .server_auth = true}));
  ORCH_TRY(pki.admin, leaf(options, "client-admin", pki.client_ca,
                           {.common_name = "system:admin",
                            .organizations = {"system:masters"},
                            .client_auth = true}));
  ORCH_TRY(pki.kubelet_client, leaf(options, "client-kube-apiserver", pki.client_ca,
                                    {.common_name = "system:apiserver",
                                     .organizations = {"system:masters"},
                                     .client_auth = true}));
  ORCH_TRY(pki.service_account_key_pem, signing_key(options));
  return pki;
}

}  // namespace orch::server
