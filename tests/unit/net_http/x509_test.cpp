#include <catch2/catch.hpp>

#include "fixture.h"
#include "orch/base/strings.h"

using namespace orch;
using namespace orch::net;
using namespace orch::net::test;

TEST_CASE("a CA issues leaves that say what was asked") {
  CertificateRequest request = leaf("system:node:a", false);
  request.organizations = {"system:nodes", "second"};
  request.dns_names = {"a.test"};
  request.ip_addresses = {"10.1.2.3", "fd00::1"};
  auto pair = issue(ca(), request);
  REQUIRE(pair);
  auto info = parse_certificate(pair->certificate_pem);
  REQUIRE(info);
  CHECK(info->common_name == "system:node:a");
  CHECK(info->organizations == std::vector<std::string>{"system:nodes", "second"});
  CHECK(info->dns_names == std::vector<std::string>{"a.test"});
  CHECK(info->ip_addresses == std::vector<std::string>{"10.1.2.3", "fd00::1"});
  CHECK(info->client_auth);
  CHECK_FALSE(info->server_auth);
  CHECK_FALSE(info->is_ca);
  CHECK(info->issuer_common_name == "test-ca");
  CHECK(info->serial_hex.size() == 32);
  CHECK(info->fingerprint_sha256.size() == 64);
  CHECK(info->not_after == std::chrono::floor<Seconds>(request.not_after));
  auto again = issue(ca(), request);
  CHECK(parse_certificate(again->certificate_pem)->serial_hex != info->serial_hex);
  auto authority = parse_certificate(ca().certificate_pem);
  CHECK(authority->is_ca);
}

TEST_CASE("chains verify against their own CA and time only") {
  auto pair = issue(ca(), leaf("x", true)).value();
  WallTime now = system_clock().now();
  CHECK(verify_chain(ca().certificate_pem, pair.certificate_pem, now));
  CHECK_FALSE(verify_chain(other_ca().certificate_pem, pair.certificate_pem, now));
  CHECK_FALSE(verify_chain(ca().certificate_pem, pair.certificate_pem, now + Seconds{7200}));
  CHECK_FALSE(verify_chain(ca().certificate_pem, pair.certificate_pem, now - Seconds{7200}));
  CHECK_FALSE(verify_chain(ca().certificate_pem, "garbage", now));
  CHECK_FALSE(verify_chain("garbage", pair.certificate_pem, now));
  CHECK(verify_chain(other_ca().certificate_pem + ca().certificate_pem, pair.certificate_pem, now));
}

TEST_CASE("a leaf cannot act as a CA") {
  auto middle = issue(ca(), leaf("middle", true)).value();
  auto below = issue(middle, leaf("below", true));
  REQUIRE(below);
  CHECK_FALSE(verify_chain(ca().certificate_pem, below->certificate_pem + middle.certificate_pem,
                           system_clock().now()));
}

TEST_CASE("a request is signed with the caller's subject and the requester's key") {
  auto csr = make_csr({"system:node:b", {"system:nodes"}, {"b.test"}, {"10.0.0.2"}});
  REQUIRE(csr);
  auto info = parse_csr(csr->csr_pem);
  REQUIRE(info);
  CHECK(info->common_name == "system:node:b");
  CHECK(info->organizations == std::vector<std::string>{"system:nodes"});
  CHECK(info->dns_names == std::vector<std::string>{"b.test"});
  CHECK(info->ip_addresses == std::vector<std::string>{"10.0.0.2"});
  auto certificate = sign_csr(ca(), csr->csr_pem, leaf("other", false));
  REQUIRE(certificate);
  CHECK(parse_certificate(*certificate)->common_name == "other");
  // The key fits: a TLS context takes the pair.
  TlsClientContext::Options options;
  options.ca_pem = ca().certificate_pem;
  options.key_pair = {*certificate, csr->private_key_pem};
  CHECK(TlsClientContext::create(options));
  options.key_pair.private_key_pem = ca().private_key_pem;
  CHECK_FALSE(TlsClientContext::create(options));
}

TEST_CASE("a tampered request is refused") {
  auto csr = make_csr({"a", {}, {}, {}}).value();
  std::vector<std::string> lines = split(csr.csr_pem, '\n');
  std::string body;
  for (const std::string& line : lines) {
    if (line.find("-----") == std::string::npos) body += line;
  }
  std::string der = base64_decode(body).value();
  size_t name = der.find(
      "\x0c\x01"
      "a");
  REQUIRE(name != std::string::npos);
  der[name + 2] = 'b';
  std::string pem = "-----BEGIN CERTIFICATE REQUEST-----\n" + base64_encode(der) +
                    "\n-----END CERTIFICATE REQUEST-----\n";
  auto parsed = parse_csr(pem);
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().find("signature is not valid") != std::string::npos);
  CHECK_FALSE(parse_csr("nonsense"));
}

TEST_CASE("bad requests for certificates name their reason") {
  CertificateRequest request = leaf("x", true);
  request.ip_addresses = {"10.0.0.300"};
  CHECK(issue(ca(), request).error() == "\"10.0.0.300\" is not an IP address");
  request = leaf("x", true);
  request.not_after = request.not_before;
  CHECK_FALSE(issue(ca(), request));
  CHECK_FALSE(issue({ca().certificate_pem, other_ca().private_key_pem}, leaf("x", true)));
  CHECK_FALSE(issue({"", ""}, leaf("x", true)));
}

TEST_CASE("ES256 signs and verifies") {
  std::string key = make_signing_key().value();
  std::string signature = es256_sign(key, "payload").value();
  CHECK(signature.size() == 64);
  CHECK(es256_verify(key, "payload", signature));
  CHECK_FALSE(es256_verify(key, "Payload", signature));
  CHECK_FALSE(es256_verify(make_signing_key().value(), "payload", signature));
  CHECK_FALSE(es256_verify(key, "payload", signature.substr(1)));
  CHECK_FALSE(es256_verify("garbage", "payload", signature));
  CHECK_FALSE(es256_verify(key, "payload", std::string(64, '\0')));
  auto point = ec_public_point(key);
  REQUIRE(point);
  CHECK(point->x.size() == 32);
  CHECK(point->y.size() == 32);
  CHECK(ec_public_point(ca().certificate_pem));
  CHECK_FALSE(ec_public_point("garbage"));
}

TEST_CASE("digests and comparison") {
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("").size() == 32);
  CHECK(constant_time_equal("abc", "abc"));
  CHECK_FALSE(constant_time_equal("abc", "abd"));
  CHECK_FALSE(constant_time_equal("abc", "ab"));
}
