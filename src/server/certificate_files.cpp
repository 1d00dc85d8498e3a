// orch certificate: the certificates in the data directory (include/orch/server/identity_files.h).
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "orch/base/file.h"
#include "orch/base/time_zone.h"
#include "orch/server/identity_files.h"
#include "server/pki/pki.h"

namespace orch::server {
namespace {

namespace fs = std::filesystem;

constexpr Seconds kCaValid{10 * 365 * 24 * 3600};

struct Kept {
  std::string name;  // as users know it
  std::string path;  // below the data directory, without ending
  bool leaf = true;
};
const Kept kCertificates[] = {
    {"server-ca", "server/tls/server-ca", false},
    {"client-ca", "server/tls/client-ca", false},
    {"request-header-ca", "server/tls/request-header-ca", false},
    {"serving-kube-apiserver", "server/tls/serving-kube-apiserver"},
    {"client-admin", "server/tls/client-admin"},
    {"client-kube-apiserver", "server/tls/client-kube-apiserver"},
    {"client-auth-proxy", "server/tls/client-auth-proxy"},
    {"etcd-ca", "server/tls/etcd/ca", false},
    {"etcd-server", "server/tls/etcd/server"},
    {"etcd-client", "server/tls/etcd/client"},
    {"client-kubelet", "agent/client"},
    {"serving-kubelet", "agent/serving"},
};

std::string date(WallTime at) {
  return TimeZone().rfc3339(std::chrono::floor<Seconds>(at).time_since_epoch().count());
}

CertificateRow row_of(const Kept& kept, const std::string& pem, WallTime now) {
  CertificateRow row{.name = kept.name, .subject = "", .expires = "", .status = "", .good = false};
  auto info = net::parse_certificate(pem);
  if (!info) {
    row.status = info.error();
    return row;
  }
  for (const auto& organization : info->organizations) row.subject += "O=" + organization + ", ";
  row.subject += "CN=" + info->common_name;
  row.expires = date(info->not_after);
  if (now > info->not_after) {
    row.status = "expired";
  } else if (now < info->not_before) {
    row.status = "not yet valid (check the clock)";
  } else {
    row.good = true;
    row.status = kept.leaf && needs_renewal(*info, now) ? "renewal due" : "ok";
  }
  return row;
}

}  // namespace

Result<std::vector<CertificateRow>, std::string> list_certificates(const std::string& data_dir,
                                                                   WallTime now) {
  std::vector<CertificateRow> rows;
  for (const Kept& kept : kCertificates) {
    const std::string path = fmt::format("{}/{}.crt", data_dir, kept.path);
    if (!file_exists(path)) continue;
    ORCH_TRY(const std::string pem, read_file(path));
    rows.push_back(row_of(kept, pem, now));
  }
  if (rows.empty()) return Err(fmt::format("no certificates below {}", data_dir));
  return rows;
}

Result<std::vector<std::string>, std::string> rotate_certificates(
    const std::string& data_dir, const std::vector<std::string>& names) {
  std::vector<std::string> known;
  for (const Kept& kept : kCertificates) {
    if (kept.leaf) known.push_back(kept.name);
  }
  for (const auto& name : names) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return Err(fmt::format("no certificate is called \"{}\"; there are {}", name,
                             fmt::join(known, ", ")));
    }
  }
  std::vector<std::string> done;
  for (const Kept& kept : kCertificates) {
    const bool wanted =
        names.empty() || std::find(names.begin(), names.end(), kept.name) != names.end();
    const std::string path = fmt::format("{}/{}.crt", data_dir, kept.path);
    if (!kept.leaf || !wanted || !file_exists(path)) continue;
    std::error_code error;
    // Without its certificate a key counts for nothing: both are made anew.
    fs::remove(path, error);
    if (error) return Err(fmt::format("{}: {}", path, error.message()));
    done.push_back(kept.name);
  }
  if (done.empty()) return Err(fmt::format("no certificates below {}", data_dir));
  return done;
}

Result<Unit, std::string> rotate_authorities(const std::string& data_dir, WallTime now) {
  const std::string tls = data_dir + "/server/tls/";
  for (const std::string name : {"server-ca", "client-ca", "request-header-ca"}) {
    // Data of before there were front proxies: the next start makes it.
    if (name == "request-header-ca" && !file_exists(tls + name + ".crt")) continue;
    ORCH_TRY(const std::string old_pem, read_file(tls + name + ".crt"));
    ORCH_TRY(const std::string old_key, read_file(tls + name + ".key"));
    auto old = net::parse_certificate(old_pem);
    if (!old) return Err(fmt::format("{}{}.crt: {}", tls, name, old.error()));
    // A name of its own, so that chains can be told apart.
    auto made =
        net::make_ca(fmt::format("orch-{}@{}", name, now.time_since_epoch().count() / 1000000),
                     now - Seconds{3600}, kCaValid);
    if (!made) return Err(made.error());
    auto crossed = net::cross_sign({old_pem, old_key}, made->certificate_pem, now - Seconds{3600},
                                   old->not_after);
    if (!crossed) return Err(fmt::format("{}{}: {}", tls, name, crossed.error()));
    // Of what belonged to the old one its issuers stay; so does what it was rotated from.
    const std::string bundle = made->certificate_pem + *crossed + old_pem;
    // The old ones are kept beside: a mistake can be undone. The key is written last but one: a
    // start between the two says that they do not match, and both are in the old files.
    ORCH_CHECK(write_file_atomic(tls + name + ".crt.old", old_pem, 0644));
    ORCH_CHECK(write_file_atomic(tls + name + ".key.old", old_key, 0600));
    ORCH_CHECK(write_file_atomic(tls + name + ".key", made->private_key_pem, 0600));
    ORCH_CHECK(write_file_atomic(tls + name + ".crt", bundle, 0644));
  }
  return Unit{};
}

}  // namespace orch::server
