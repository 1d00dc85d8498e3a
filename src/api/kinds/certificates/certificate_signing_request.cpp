// certificates.k8s.io/v1 CertificateSigningRequest. Who asks is written by the server
// (src/server/api/subresources/certificate_approval.cpp), which also serves approval and status.
#include "orch/api/certificate_decision.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/kinds/checks.h"

namespace orch::api {
namespace {

using certificatesv1::CertificateSigningRequest;
using Condition = certificatesv1::CertificateSigningRequestCondition;
using Conditions = std::vector<Condition>;

constexpr int32_t kSecondsMin = 600;
constexpr size_t kSignerNameMax = 253 + 1 + 253 + 1 + 63;
constexpr std::string_view kUsages[] = {"any",
                                        "cert sign",
                                        "client auth",
                                        "code signing",
                                        "content commitment",
                                        "crl sign",
                                        "data encipherment",
                                        "decipher only",
                                        "digital signature",
                                        "email protection",
                                        "encipher only",
                                        "ipsec end system",
                                        "ipsec tunnel",
                                        "ipsec user",
                                        "key agreement",
                                        "key encipherment",
                                        "microsoft sgc",
                                        "netscape sgc",
                                        "ocsp signing",
                                        "s/mime",
                                        "server auth",
                                        "signing",
                                        "timestamping"};
constexpr std::string_view kPermanent[] = {"Approved", "Denied", "Failed"};

void prepare(Object& object, const Object* old_object, const StrategyContext&) {
  auto& now = static_cast<CertificateSigningRequest&>(object);
  if (old_object == nullptr) {
    now.status = {};
    return;
  }
  const auto& old = static_cast<const CertificateSigningRequest&>(*old_object);
  now.spec = old.spec;
  now.status = old.status;
}

void validate_signer_name(const std::string& name, const std::string& path, FieldErrors& errors) {
  if (name.empty()) return errors.required(path);
  const size_t slash = name.find('/');
  if (slash == std::string::npos || name.find('/', slash + 1) != std::string::npos) {
    return errors.invalid(
        path, quoted(name),
        "must be a fully qualified domain and path of the form 'example.com/signer-name'");
  }
  const std::string domain = name.substr(0, slash), rest = name.substr(slash + 1);
  const auto check_labels = [&](const std::string& part, NameRule rule) {
    for (size_t begin = 0; begin <= part.size();) {
      const size_t end = std::min(part.find('.', begin), part.size());
      const std::string label = part.substr(begin, end - begin);
      if (const auto why = rule(label); !why.empty()) {
        errors.invalid(path, quoted(part),
                       fmt::format("validating label {}: {}", quoted(label), why));
      }
      begin = end + 1;
    }
  };
  check_labels(domain, check_dns1123_label);
  if (domain.find('.') == std::string::npos) {
    errors.invalid(path, quoted(domain),
                   "should be a domain with at least two segments separated by dots");
  }
  check_labels(rest, check_dns1123_subdomain);
  if (name.size() > kSignerNameMax) errors.too_long(path, static_cast<int64_t>(kSignerNameMax));
}

void validate_usages(const std::vector<std::string>& usages, FieldErrors& errors) {
  if (usages.empty()) errors.required("spec.usages");
  std::set<std::string> seen;
  for (size_t i = 0; i < usages.size(); ++i) {
    const std::string path = indexed("spec.usages", i);
    if (!listed(kUsages, usages[i])) {
      errors.not_supported(path, usages[i],
                           std::vector<std::string>(std::begin(kUsages), std::end(kUsages)));
    }
    if (!seen.insert(usages[i]).second) errors.duplicate(path, quoted(usages[i]));
  }
}

void validate_conditions(const Conditions& conditions, FieldErrors& errors) {
  std::set<std::string> seen;
  for (size_t i = 0; i < conditions.size(); ++i) {
    const auto& c = conditions[i];
    const std::string path = indexed("status.conditions", i);
    check_required(c.type, path + ".type", errors);
    const bool permanent = listed(kPermanent, c.type);
    if (c.status.empty()) {
      errors.required(path + ".status");
    } else if (permanent) {
      if (c.status != "True") errors.not_supported(path + ".status", c.status, {"True"});
    } else {
      check_one_of(c.status, path + ".status", {"False", "True", "Unknown"}, errors);
    }
    const bool both = (c.type == "Approved" && seen.count("Denied") != 0) ||
                      (c.type == "Denied" && seen.count("Approved") != 0);
    if (both) {
      errors.invalid(path + ".type", quoted(c.type),
                     "Approved and Denied conditions are mutually exclusive");
    }
    if (!seen.insert(c.type).second) errors.duplicate(path + ".type", quoted(c.type));
  }
}

const Condition* find_condition(const Conditions& conditions, const std::string& type) {
  for (const auto& c : conditions) {
    if (c.type == type) return &c;
  }
  return nullptr;
}

// Decisions stand: none of the three can be taken back, and each is made in its own place.
void validate_decisions(const Conditions& now, const Conditions& old, bool approving,
                        FieldErrors& errors) {
  for (const std::string type : {"Approved", "Denied", "Failed"}) {
    const Condition* after = find_condition(now, type);
    const Condition* before = find_condition(old, type);
    const char* what = nullptr;
    if (before != nullptr && after == nullptr) {
      what = "remove";
    } else if (before == nullptr && after != nullptr && type != "Failed" && !approving) {
      what = "add";
    } else if (before != nullptr && type != "Failed" && !approving && !equal(*after, *before)) {
      what = "modify";
    }
    if (what == nullptr) continue;
    errors.forbidden("status.conditions",
                     fmt::format("updates may not {} a condition of type {}", what, quoted(type)));
  }
}

void validate_request(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& now = static_cast<const CertificateSigningRequest&>(object);
  if (old_object != nullptr) return;  // nothing but metadata can have changed
  const auto& spec = now.spec;
  if (spec.request.find("-----BEGIN CERTIFICATE REQUEST-----") == std::string::npos) {
    errors.invalid("spec.request", go_bytes(spec.request),
                   "PEM block type must be CERTIFICATE REQUEST");
  }
  validate_usages(spec.usages, errors);
  if (spec.signerName == "kubernetes.io/legacy-unknown") {
    errors.invalid("spec.signerName", quoted(spec.signerName),
                   "the legacy signerName is not allowed via this API version");
  } else {
    validate_signer_name(spec.signerName, "spec.signerName", errors);
  }
  if (spec.expirationSeconds && *spec.expirationSeconds < kSecondsMin) {
    errors.invalid("spec.expirationSeconds", std::to_string(*spec.expirationSeconds),
                   "may not specify a duration less than 600 seconds (10 minutes)");
  }
}

std::string condition_text(const CertificateSigningRequest& request) {
  const auto& conditions = request.status.conditions;
  std::string out = find_condition(conditions, "Denied") != nullptr     ? "Denied"
                    : find_condition(conditions, "Approved") != nullptr ? "Approved"
                                                                        : "Pending";
  if (find_condition(conditions, "Failed") != nullptr) out += ",Failed";
  if (!request.status.certificate.empty()) out += ",Issued";
  return out;
}

std::vector<Cell> row(const Object& object, WallTime now) {
  const auto& request = static_cast<const CertificateSigningRequest&>(object);
  const auto& seconds = request.spec.expirationSeconds;
  return {name_cell(object),
          age_cell(object, now),
          text(request.spec.signerName),
          text(request.spec.username),
          text(seconds ? human_duration(Seconds(*seconds)) : "<none>"),
          text(condition_text(request))};
}

}  // namespace

void prepare_certificate_decision(CertificateSigningRequest& now,
                                  const CertificateSigningRequest& old, bool approving,
                                  WallTime time) {
  now.spec = old.spec;
  if (approving) now.status.certificate = old.status.certificate;
  for (auto& c : now.status.conditions) {
    if (!c.lastUpdateTime) c.lastUpdateTime = Time(time);
    if (c.lastTransitionTime) continue;
    const Condition* before = find_condition(old.status.conditions, c.type);
    const bool same = before != nullptr && before->status == c.status;
    c.lastTransitionTime =
        same && before->lastTransitionTime ? before->lastTransitionTime : Time(time);
  }
}

void validate_certificate_decision(const CertificateSigningRequest& now,
                                   const CertificateSigningRequest& old, bool approving,
                                   FieldErrors& errors) {
  validate_conditions(now.status.conditions, errors);
  validate_decisions(now.status.conditions, old.status.conditions, approving, errors);
  if (now.status.certificate == old.status.certificate) return;
  if (!old.status.certificate.empty()) {
    errors.forbidden("status.certificate", "updates may not modify existing certificate content");
  }
  if (now.status.certificate.find("-----BEGIN CERTIFICATE-----") == std::string::npos) {
    errors.invalid("status.certificate", go_bytes(now.status.certificate),
                   "must contain at least one CERTIFICATE PEM block");
  }
}

ResourceInfo certificate_signing_requests_resource() {
  auto info = stored_resource<CertificateSigningRequest>("certificatesigningrequests",
                                                         "certificatesigningrequest", false);
  info.short_names = {"csr"};
  info.has_status = true;
  info.prepare = prepare;
  info.validate = validate_request;
  info.selectable_fields = {"spec.signerName"};
  info.field_value = [](const Object& object, std::string_view) {
    return static_cast<const CertificateSigningRequest&>(object).spec.signerName;
  };
  info.columns = {name_column(),
                  age_column(),
                  column("SignerName", "string", "Who is asked to sign."),
                  column("Requestor", "string", "Who asks."),
                  column("RequestedDuration", "string", "How long it is to be valid."),
                  column("Condition", "string", "What was decided, and whether it was issued.")};
  info.row = row;
  return info;
}

}  // namespace orch::api
