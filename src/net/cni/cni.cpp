#include "orch/net/cni.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "net/cni/attach.h"
#include "net/cni/protocol.h"
#include "orch/base/file.h"

namespace orch::net {

namespace {

constexpr size_t kInputBytesMax = 1 << 20;
constexpr size_t kInterfaceNameMax = 15;

CniError bad_environment(std::string message) {
  return {CniCode::kInvalidEnvironment, std::move(message)};
}

bool valid_container(const std::string& id) {
  auto alphanumeric = [](unsigned char c) { return std::isalnum(c) != 0; };
  if (id.empty() || !alphanumeric(static_cast<unsigned char>(id[0]))) return false;
  for (unsigned char c : id) {
    if (!alphanumeric(c) && c != '_' && c != '.' && c != '-') return false;
  }
  return true;
}

bool valid_interface(const std::string& name) {
  if (name.empty() || name.size() > kInterfaceNameMax || name == "." || name == "..") return false;
  for (unsigned char c : name) {
    if (c == '/' || c == ':' || std::isspace(c)) return false;
  }
  return true;
}

// containerd runs this plugin in every sandbox before the configured ones.
Result<std::string, CniError> loopback(const CniEnvironment& env, const std::string& input) {
  if (env.command != "ADD") return std::string();
  auto netlink = Netlink::open_in(env.netns);
  if (!netlink) return Err(CniError{CniCode::kNetworkFailure, netlink.error()});
  if (auto up = (*netlink)->set_up("lo"); !up) {
    return Err(CniError{CniCode::kNetworkFailure, up.error()});
  }
  return render_loopback_result(parse_version(input), env.netns);
}

Result<std::string, CniError> execute(const CniEnvironment& env, const std::string& input) {
  const bool known = env.command == "ADD" || env.command == "DEL" || env.command == "CHECK";
  if (!known) {
    return Err(bad_environment(fmt::format("unknown CNI_COMMAND \"{}\"", env.command)));
  }
  std::string missing;
  if (env.container.empty()) missing += " CNI_CONTAINERID";
  if (env.netns.empty() && env.command != "DEL") missing += " CNI_NETNS";
  if (env.interface.empty()) missing += " CNI_IFNAME";
  if (!missing.empty()) {
    return Err(bad_environment("required environment variables missing:" + missing));
  }
  if (!valid_container(env.container)) {
    return Err(bad_environment(fmt::format("invalid CNI_CONTAINERID \"{}\"", env.container)));
  }
  if (!valid_interface(env.interface)) {
    return Err(bad_environment(fmt::format("invalid CNI_IFNAME \"{}\"", env.interface)));
  }
  if (parse_type(input) == kCniLoopbackName) return loopback(env, input);
  ORCH_TRY(CniNetwork network, parse_network(input));
  CniTarget target{env.container, env.netns, env.interface};
  if (env.command == "ADD") {
    ORCH_TRY(CniAttachment attachment, attach(network, target));
    return render_result(network, attachment);
  }
  if (env.command == "DEL") {
    ORCH_CHECK(detach(network, target));
  } else {
    ORCH_CHECK(check_attachment(network, target));
  }
  return std::string();
}

std::string environment_value(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

CniAnswer run_cni(const CniEnvironment& environment, const std::string& input) {
  if (environment.command == "VERSION") return {render_versions(parse_version(input)), 0};
  auto done = execute(environment, input);
  if (done) return {*std::move(done), 0};
  return {render_error(parse_version(input), done.error()), 1};
}

int cni_main() {
  std::string input;
  char bytes[4096];
  for (;;) {
    ssize_t got = read(STDIN_FILENO, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || input.size() > kInputBytesMax) break;
    input.append(bytes, static_cast<size_t>(got));
  }
  CniAnswer answer =
      run_cni({environment_value("CNI_COMMAND"), environment_value("CNI_CONTAINERID"),
               environment_value("CNI_NETNS"), environment_value("CNI_IFNAME")},
              input);
  std::fputs(answer.text.c_str(), stdout);
  std::fflush(stdout);
  return answer.exit_code;
}

Result<Unit, NetError> write_cni_config(const std::string& conf_dir, const CniConfig& config) {
  ORCH_CHECK(make_directories(conf_dir));
  std::string path = conf_dir + "/10-orch.conflist";
  std::string text = render_conflist(config);
  if (auto now = read_file(path); now && *now == text) return Unit{};
  return write_file_atomic(path, text, 0644);
}

Result<Unit, NetError> install_cni_plugin(const std::string& bin_dir,
                                          const std::string& orch_binary) {
  ORCH_CHECK(make_directories(bin_dir));
  for (std::string_view name : {kCniPluginName, kCniLoopbackName}) {
    std::string path = fmt::format("{}/{}", bin_dir, name);
    std::string fresh = fmt::format("{}.{}", path, getpid());
    unlink(fresh.c_str());
    if (symlink(orch_binary.c_str(), fresh.c_str()) != 0 ||
        rename(fresh.c_str(), path.c_str()) != 0) {
      return Err(fmt::format("{}: {}", path, std::strerror(errno)));
    }
  }
  return Unit{};
}

}  // namespace orch::net
