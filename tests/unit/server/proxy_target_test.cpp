#include "server/api/subresources/proxy_target.h"

#include <catch2/catch.hpp>

using namespace orch::server;

TEST_CASE("names of proxied Pods, Services and Nodes") {
  CHECK(split_proxy_name("web")->name == "web");
  CHECK(split_proxy_name("web:http")->port == "http");
  CHECK(split_proxy_name("https:web:443")->scheme == "https");
  CHECK(split_proxy_name("https:web:")->port.empty());
  for (const char* wrong : {"", ":80", "ftp:web:21", "a:b:c:d", "web:0", "web:65536", "web:-1",
                            "web:80@evil", "web:8 0", "http::80"}) {
    CAPTURE(wrong);
    CHECK_FALSE(split_proxy_name(wrong));
  }
}

TEST_CASE("only global unicast addresses are proxied to") {
  for (const char* good : {"10.42.0.7", "192.168.1.1", "8.8.8.8", "fd00::1", "2001:db8::1"}) {
    CAPTURE(good);
    CHECK(proxyable(good));
  }
  for (const char* bad :
       {"", "127.0.0.1", "127.8.8.8", "0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1",
        "239.1.1.1", "255.255.255.255", "::1", "::", "fe80::1", "FE80::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "localhost", "10.0.0.1:80", "0x7f.1"}) {
    CAPTURE(bad);
    CHECK_FALSE(proxyable(bad));
  }
}

TEST_CASE("the proxied path keeps its escapes; names may contain proxy") {
  auto path = split_proxy_path("/api/v1/namespaces/proxy/pods/proxy:80/proxy/a%2Fb/proxy/?x=%31");
  CHECK(path.prefix == "/api/v1/namespaces/proxy/pods/proxy:80/proxy");
  CHECK(path.rest == "/a%2Fb/proxy/");
  CHECK(path.query == "?x=%31");
  path = split_proxy_path("/api/v1/nodes/n1/proxy");
  CHECK(path.prefix == "/api/v1/nodes/n1/proxy");
  CHECK(path.rest.empty());
  path = split_proxy_path("//api/v1//nodes/n1:10250/proxy/?");
  CHECK(path.prefix == "//api/v1//nodes/n1:10250/proxy");
  CHECK(path.rest == "/");
}

TEST_CASE("a Location leads through the proxy again, or stays what it is") {
  const std::string prefix = "/api/v1/namespaces/d/services/s/proxy";
  const auto rewritten = [&](std::string_view location) {
    return rewrite_location(location, prefix, "http://10.42.0.7:8080", "localhost:8001");
  };
  CHECK(rewritten("/login?a=b") == prefix + "/login?a=b");
  CHECK(rewritten("http://10.42.0.7:8080/x/") == prefix + "/x/");
  CHECK(rewritten("http://10.42.0.7:8080") == prefix + "/");
  CHECK(rewritten("//localhost:8001/x") == prefix + "/x");
  CHECK(rewritten("http://localhost:8001" + prefix + "/x") == prefix + "/x");
  CHECK(rewritten(prefix + "/x") == prefix + "/x");
  CHECK(rewritten("next/page") == "next/page");
  CHECK(rewritten("http://169.254.169.254/x") == "http://169.254.169.254/x");
  CHECK(rewritten("/go?to=http://elsewhere/") == prefix + "/go?to=http://elsewhere/");
}
