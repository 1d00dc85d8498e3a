// The CNI plugin: its JSON, its addresses, and real attachments.
#include "orch/net/cni.h"

#include <dirent.h>
#include <fmt/format.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <fstream>

#include "net/cni/attach.h"
#include "net/cni/ipam.h"
#include "net/cni/protocol.h"
#include "orch/base/file.h"
#include "unit/net/netns_support.h"

using namespace orch;
using namespace orch::net;
using namespace orch::net::test;

namespace {

struct TempDir {
  std::string path;
  TempDir() {
    char name[] = "/tmp/orch-cni-test.XXXXXX";
    path = mkdtemp(name);
  }
  ~TempDir() { shell("rm -rf " + path); }
};

std::string config(const std::string& state, const std::string& cidr = "10.42.0.0/24",
                   const std::string& ports = "[]", const std::string& version = "1.0.0") {
  return fmt::format(
      R"({{"cniVersion":"{}","name":"orch","type":"orch-cni","bridge":"orch0","podCIDR":"{}",)"
      R"("stateDir":"{}","hostPortTable":"orch-hostport","mtu":1450,)"
      R"("runtimeConfig":{{"portMappings":{}}}}})",
      version, cidr, state, ports);
}

CniAnswer call(const TestNetns& node, const std::string& command, const std::string& container,
               const std::string& netns, const std::string& input) {
  CniAnswer answer;
  node.run([&]() -> Result<Unit, NetError> {
    answer = run_cni({command, container, netns, "eth0"}, input);
    return Unit{};
  });
  return answer;
}

}  // namespace

TEST_CASE("CNI configuration is checked, with codes") {
  auto code = [](const std::string& text) {
    return static_cast<int>(parse_network(text).error().code);
  };
  CHECK(code("") == 6);
  CHECK(code("[1]") == 6);
  CHECK(code(R"({"cniVersion":"0.2.0"})") == 1);
  CHECK(parse_network(R"({"cniVersion":"1.0.0","name":"x"})").error().message ==
        "field bridge is missing");
  CHECK(parse_network(config("/s", "10.42.0.0/33")).error().message ==
        "field podCIDR: \"10.42.0.0/33\" is no IPv4 prefix of 8 to 30 bits");
  CHECK(parse_network(config("/s", "10.42.0.0/24", R"([{"hostPort":70000,"containerPort":1}])"))
            .error()
            .message == "runtimeConfig.portMappings: hostPort 70000 is no port");
  auto good = parse_network(
      config("/s", "10.42.7.9/24",
             R"([{"hostPort":80,"containerPort":8080,"protocol":"UDP","hostIP":"10.0.0.1"},
          {"hostPort":0,"containerPort":8080}])"));
  REQUIRE(good);
  CHECK(format_ipv4(good->gateway()) == "10.42.7.1");
  REQUIRE(good->ports.size() == 1);
  CHECK(good->ports[0] == PortMapping{*parse_ipv4("10.0.0.1"), 80, 8080, 17});
  // As containerd 1.6 writes it.
  auto as_go = parse_network(
      config("/s", "10.42.7.9/24",
             R"([{"HostPort":80,"ContainerPort":8080,"Protocol":"udp","HostIP":"10.0.0.1"}])"));
  REQUIRE(as_go);
  CHECK(as_go->ports == good->ports);
}

TEST_CASE("CNI answers are the specification's JSON") {
  CniNetwork network = *parse_network(config("/s"));
  CniAttachment at{"orch0",
                   "02:00:00:00:00:01",
                   "veth1",
                   "02:00:00:00:00:02",
                   "eth0",
                   "0a:58:0a:2a:00:02",
                   "/n",
                   *parse_ipv4("10.42.0.2"),
                   *parse_ipv4("10.42.0.1")};
  CHECK(render_result(network, at) == R"({
  "cniVersion": "1.0.0",
  "interfaces": [
    {
      "name": "orch0",
      "mac": "02:00:00:00:00:01"
    },
    {
      "name": "veth1",
      "mac": "02:00:00:00:00:02"
    },
    {
      "name": "eth0",
      "mac": "0a:58:0a:2a:00:02",
      "sandbox": "/n"
    }
  ],
  "ips": [
    {
      "address": "10.42.0.2/32",
      "gateway": "10.42.0.1",
      "interface": 2
    }
  ],
  "routes": [
    {
      "dst": "0.0.0.0/0",
      "gw": "10.42.0.1"
    }
  ],
  "dns": {}
}
)");
  network.cni_version = "0.4.0";
  CHECK(render_result(network, at).find("\"version\": \"4\"") != std::string::npos);
  CHECK(run_cni({"VERSION", "", "", ""}, R"({"cniVersion":"0.4.0"})").text == R"({
  "cniVersion": "0.4.0",
  "supportedVersions": [
    "0.3.1",
    "0.4.0",
    "1.0.0"
  ]
}
)");
  CniAnswer bad = run_cni({"ADD", "c", "", "eth0"}, "{}");
  CHECK(bad.exit_code == 1);
  CHECK(bad.text.find("\"code\": 4") != std::string::npos);
  CHECK(bad.text.find("required environment variables missing: CNI_NETNS") != std::string::npos);
  CHECK(run_cni({"ADD", "../c", "/n", "eth0"}, "{}").text.find("invalid CNI_CONTAINERID") !=
        std::string::npos);
  CHECK(run_cni({"ADD", "c", "/n", "a/b"}, "{}").text.find("invalid CNI_IFNAME") !=
        std::string::npos);
  CHECK(run_cni({"MOVE", "c", "/n", "eth0"}, "{}").text.find("unknown CNI_COMMAND") !=
        std::string::npos);
}

TEST_CASE("addresses: rotation, reuse by the same container, nothing lost or doubled") {
  TempDir dir;
  Ipv4Prefix range = *parse_prefix("10.42.0.0/29");  // gateway .1, pods .2 to .6
  auto reserve = [&](const std::string& container, const std::string& netns = "/proc/self/ns/net") {
    auto pool = AddressPool::open(dir.path, range);
    REQUIRE(pool);
    auto got = (*pool)->reserve({0, container, "eth0", netns}, [](uint32_t) {});
    return got ? format_ipv4(*got) : got.error();
  };
  auto release = [&](const std::string& container) {
    auto pool = AddressPool::open(dir.path, range);
    return (*pool)->release(container, "eth0")->size();
  };
  CHECK(reserve("a") == "10.42.0.2");
  CHECK(reserve("b") == "10.42.0.3");
  CHECK(reserve("a") == "10.42.0.2");
  CHECK(release("a") == 1);
  CHECK(release("a") == 0);
  CHECK(reserve("c") == "10.42.0.4");  // not the one that was just freed
  CHECK(reserve("d") == "10.42.0.5");
  CHECK(reserve("e") == "10.42.0.6");
  CHECK(reserve("f") == "10.42.0.2");
  CHECK(reserve("g") == "no free address in 10.42.0.0/29 (5 in use)");
  CHECK(release("d") == 1);
  CHECK(reserve("g") == "10.42.0.5");

  SECTION("reservations of namespaces that are gone are taken back when needed") {
    CHECK(release("g") == 1);
    CHECK(reserve("h", "/gone") == "10.42.0.5");
    CHECK(reserve("i") == "10.42.0.5");
  }
  SECTION("a file torn by a kill is no reservation") {
    std::ofstream(dir.path + "/10.42.0.4") << "c\neth0\n/proc/se";
    CHECK(reserve("j") == "10.42.0.4");
  }
}

TEST_CASE("CNI: ADD, CHECK, DEL with real namespaces", "[kernel]") {
  if (skip_kernel_tests()) return;
  TempDir state;
  TestNetns node("node"), one("one"), two("two");
  CniAnswer added = call(node, "ADD", "c1", one.path(), config(state.path));
  INFO(added.text);
  REQUIRE(added.exit_code == 0);
  CHECK(one.netlink()->find_link("eth0")->value().operational);
  CHECK(added.text.find("10.42.0.2/32") != std::string::npos);
  REQUIRE(call(node, "ADD", "c2", two.path(), config(state.path)).exit_code == 0);
  CHECK(call(node, "CHECK", "c1", one.path(), config(state.path)).text == "");

  EchoServer server(one, Protocol::kTcp, "10.42.0.2", 8080, "one");
  Asked asked = ask(two, Protocol::kTcp, "10.42.0.2", 8080);
  CHECK(asked.server == "one");
  CHECK(asked.client_ip == "10.42.0.3");
  CHECK(ask(node, Protocol::kTcp, "10.42.0.2", 8080).client_ip == "10.42.0.1");
  EchoServer host(node, Protocol::kTcp, "10.42.0.1", 8081, "host");
  CHECK(ask(one, Protocol::kTcp, "10.42.0.1", 8081).server == "host");
  auto pod_links = one.netlink();
  CHECK(pod_links->find_link("eth0")->value().mtu == 1450);
  CHECK(pod_links->find_link("lo")->value().up);

  // A second ADD of the same container, as after a kill, gets the same address.
  pod_links.reset();
  CniAnswer again = call(node, "ADD", "c1", one.path(), config(state.path));
  CHECK(again.exit_code == 0);
  CHECK(again.text.find("10.42.0.2/32") != std::string::npos);
  CHECK(ask(two, Protocol::kTcp, "10.42.0.2", 8080).server == "one");

  for (int i = 0; i < 2; ++i) {
    CniAnswer gone = call(node, "DEL", "c1", i ? "" : one.path(), config(state.path));
    CHECK(gone.exit_code == 0);
    CHECK(gone.text == "");
  }
  CHECK(!one.netlink()->find_link("eth0")->has_value());
  CHECK(call(node, "CHECK", "c1", one.path(), config(state.path)).exit_code == 1);
  CHECK(!file_exists(state.path + "/10.42.0.2"));
  CHECK(file_exists(state.path + "/10.42.0.3"));
}

TEST_CASE("CNI: a failed ADD leaves nothing behind", "[kernel]") {
  if (skip_kernel_tests()) return;
  TempDir state;
  TestNetns node("node"), pod("pod");
  CHECK(call(node, "ADD", "c1", "/nonexistent", config(state.path)).exit_code == 1);
  // The name is taken inside the pod.
  REQUIRE(pod.netlink()->ensure_dummy("eth0"));
  CniAnswer failed = call(node, "ADD", "c1", pod.path(), config(state.path));
  CHECK(failed.exit_code == 1);
  CHECK(failed.text.find("File exists") != std::string::npos);
  CHECK(!file_exists(state.path + "/10.42.0.2"));
  auto links = node.netlink()->links();
  for (const Link& link : *links) CHECK(link.kind != "veth");
}

TEST_CASE("CNI: hostPort, also to itself, removed by DEL", "[kernel]") {
  if (skip_kernel_tests()) return;
  TempDir state;
  TestNetns node("node"), outside("outside"), one("one"), two("two");
  connect(node, "out", "192.168.9.1/24", outside, "eth0", "192.168.9.2/24");
  std::string ports =
      R"([{"hostPort":8088,"containerPort":8080,"protocol":"tcp"},
          {"hostPort":5353,"containerPort":53,"protocol":"udp","hostIP":"192.168.9.1"}])";
  CniAnswer added = call(node, "ADD", "c1", one.path(), config(state.path, "10.42.0.0/24", ports));
  INFO(added.text);
  REQUIRE(added.exit_code == 0);
  EchoServer tcp(one, Protocol::kTcp, "0.0.0.0", 8080, "one");
  EchoServer udp(one, Protocol::kUdp, "0.0.0.0", 53, "one");
  Asked asked = ask(outside, Protocol::kTcp, "192.168.9.1", 8088);
  CHECK(asked.error == "");
  CHECK(asked.client_ip == "192.168.9.2");
  CHECK(ask(outside, Protocol::kUdp, "192.168.9.1", 5353).server == "one");
  CHECK(ask(node, Protocol::kTcp, "192.168.9.1", 8088).server == "one");
  CHECK(ask(one, Protocol::kTcp, "192.168.9.1", 8088).server == "one");
  CHECK(ask(one, Protocol::kTcp, "10.42.0.1", 8088).server == "one");
  CHECK(ask(node, Protocol::kUdp, "10.42.0.1", 5353, 0, 300).error != "");  // another hostIP

  CniAnswer second = call(node, "ADD", "c2", two.path(), config(state.path, "10.42.0.0/24", ports));
  CHECK(second.exit_code == 1);
  CHECK(second.text.find("hostPort 8088/TCP is in use by pod 10.42.0.2") != std::string::npos);

  // Without br_netfilter all of it passes the host's IP layer.
  without_bridge_filter(node);
  CHECK(ask(one, Protocol::kTcp, "192.168.9.1", 8088).server == "one");

  REQUIRE(call(node, "DEL", "c1", one.path(), config(state.path)).exit_code == 0);
  CHECK(ask(outside, Protocol::kTcp, "192.168.9.1", 8088).error == "Connection refused");
  second = call(node, "ADD", "c2", two.path(), config(state.path, "10.42.0.0/24", ports));
  CHECK(second.exit_code == 0);
}

TEST_CASE("CNI: as loopback it only sets lo up", "[kernel]") {
  if (skip_kernel_tests()) return;
  TestNetns node("node"), pod("pod");
  const std::string input = R"({"cniVersion":"0.3.1","name":"cni-loopback","type":"loopback"})";
  CniAnswer added = call(node, "ADD", "c1", pod.path(), input);
  CHECK(added.exit_code == 0);
  CHECK(added.text.find("\"cniVersion\": \"0.3.1\"") != std::string::npos);
  CHECK(added.text.find("\"name\": \"lo\"") != std::string::npos);
  CHECK(pod.netlink()->find_link("lo")->value().up);
  CHECK(call(node, "DEL", "c1", "", input).exit_code == 0);
  CHECK(call(node, "ADD", "c1", "/nonexistent", input).exit_code == 1);
}

TEST_CASE("the CNI configuration and plugin are installed, again and again") {
  TempDir dir;
  CniConfig config;
  config.bridge = "orch0";
  config.pod_cidr = "10.42.0.0/24";
  config.state_dir = "/s";
  for (int i = 0; i < 2; ++i) {
    REQUIRE(write_cni_config(dir.path + "/net.d", config));
    REQUIRE(install_cni_plugin(dir.path + "/bin", "/usr/bin/orch"));
  }
  std::string text = *read_file(dir.path + "/net.d/10-orch.conflist");
  CHECK(text.find("\"type\": \"orch-cni\"") != std::string::npos);
  CHECK(text.find("\"portMappings\": true") != std::string::npos);
  char target[64] = {};
  CHECK(readlink((dir.path + "/bin/orch-cni").c_str(), target, sizeof target) > 0);
  CHECK(std::string(target) == "/usr/bin/orch");
  CHECK(readlink((dir.path + "/bin/loopback").c_str(), target, sizeof target) > 0);
}
