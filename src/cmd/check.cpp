// `orch check cis`: looks at this machine and its running orch as the CIS Kubernetes Benchmark
// asks, and says PASS, FAIL or INFO for each point. Changes nothing.
#include <arpa/inet.h>
#include <dirent.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "cmd/cis_table.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "orch/api/flat_yaml.h"
#include "orch/base/file.h"
#include "orch/base/strings.h"
#include "orch/net/http.h"
#include "orch/net/tls.h"

namespace orch::cmd {
namespace {

using List = std::vector<std::string>;
namespace fs = std::filesystem;

struct Verdict {
  enum Kind : uint8_t { kPass, kFail, kInfo } kind = kInfo;
  std::string text;
};
Verdict pass(std::string text = "") { return {Verdict::kPass, std::move(text)}; }
Verdict fail(std::string text) { return {Verdict::kFail, std::move(text)}; }
Verdict info(std::string text) { return {Verdict::kInfo, std::move(text)}; }

// What the running orch was started with: its arguments, its environment, its configuration file.
class RunningFlags {
 public:
  explicit RunningFlags(const std::string& config_file) {
    if (auto text = read_file(config_file)) {
      if (auto values = api::read_flat_yaml(*text)) file_ = std::move(*values);
    }
    std::error_code error;
    for (const auto& entry : fs::directory_iterator("/proc", error)) {
      const std::string pid = entry.path().filename();
      if (!parse_int(pid)) continue;
      List arguments = strings_of("/proc/" + pid + "/cmdline");
      const bool orch = arguments.size() > 1 && fs::path(arguments[0]).filename() == "orch" &&
                        (arguments[1] == "server" || arguments[1] == "agent");
      if (!orch) continue;
      arguments_ = std::move(arguments);
      environment_ = strings_of("/proc/" + pid + "/environ");
      break;
    }
  }

  bool running() const { return !arguments_.empty(); }
  bool is_server() const { return running() && arguments_[1] == "server"; }

  // All values of a flag, split at commas; empty = not given.
  List values(const std::string& name) const {
    List out;
    const std::string flag = "--" + name;
    for (size_t i = 2; i < arguments_.size(); ++i) {
      const std::string& argument = arguments_[i];
      if (argument.starts_with(flag + "=")) {
        add(out, argument.substr(flag.size() + 1));
      } else if (argument == flag) {
        const bool value = i + 1 < arguments_.size() && !arguments_[i + 1].starts_with("--");
        add(out, value ? arguments_[i + 1] : "true");
      }
    }
    if (!out.empty()) return out;
    std::string variable = "ORCH_";
    for (char c : name) variable += c == '-' ? '_' : static_cast<char>(toupper(c));
    for (const auto& entry : environment_) {
      if (entry.starts_with(variable + "=")) add(out, entry.substr(variable.size() + 1));
    }
    if (!out.empty()) return out;
    auto it = file_.find(name);
    if (it == file_.end()) return out;
    for (const auto& value : it->second) add(out, value);
    return out;
  }

 private:
  static List strings_of(const std::string& path) {
    auto text = read_file(path);
    return text ? split(*text, '\0') : List();
  }
  static void add(List& to, const std::string& value) {
    for (auto& part : split(value, ',')) to.push_back(std::move(part));
  }

  api::FlatYaml file_;
  List arguments_, environment_;
};

struct Place {
  std::string data_dir;
  uint16_t api_port = 6443, agent_port = 10250;
  const RunningFlags* flags = nullptr;
};

std::string path_of(const Place& place, std::string_view subject) {
  if (subject.starts_with('/')) return std::string(subject);
  return place.data_dir + "/" + std::string(subject);
}

bool has(const List& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

// ---- files ----

// "" = fine.
std::string mode_fault(const std::string& path, unsigned allowed) {
  struct stat found {};
  if (lstat(path.c_str(), &found) != 0) return path + " cannot be looked at";
  const unsigned mode = found.st_mode & 07777;
  if (S_ISLNK(found.st_mode) || (mode & ~allowed) == 0) return "";
  return fmt::format("{} has mode {:o}", path, mode);
}

List files_below(const std::string& path, const List& endings) {
  List out;
  std::error_code error;
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    // Pods' own files are theirs.
    if (it->is_directory(error) && it->path().filename() == "pods") it.disable_recursion_pending();
    const std::string name = it->path().string();
    const bool wanted = endings.empty() || std::any_of(endings.begin(), endings.end(),
                                                       [&](auto& e) { return name.ends_with(e); });
    if (wanted && it->is_regular_file(error)) out.push_back(name);
  }
  std::sort(out.begin(), out.end());
  return out;
}

Verdict check_file(const Place& place, const CisItem& item) {
  const std::string path = path_of(place, item.subject);
  if (!file_exists(path)) return info(path + " is not there");
  const std::string fault =
      mode_fault(path, static_cast<unsigned>(std::stoul(std::string(item.value), nullptr, 8)));
  return fault.empty() ? pass() : fail(fault);
}

Verdict check_tree(const Place& place, const CisItem& item) {
  const std::string path = path_of(place, item.subject);
  const List files = files_below(path, split(item.value, ','));
  if (files.empty()) return info("no such files below " + path);
  const bool closed = mode_fault(path, 0700).empty();
  for (const auto& file : files) {
    // Certificates are no secrets; behind a directory of mode 700 nobody reads them anyway.
    const bool certificate = file.ends_with(".crt") || file.ends_with(".pem");
    const std::string fault = mode_fault(file, certificate && closed ? 0644 : 0600);
    if (!fault.empty()) return fail(fault);
  }
  return pass(fmt::format("{} files", files.size()));
}

Verdict check_owner(const Place& place, const CisItem& item) {
  const std::string path = path_of(place, item.subject);
  struct stat found {};
  if (stat(path.c_str(), &found) != 0) return info(path + " is not there");
  List all = files_below(path, {});
  all.push_back(path);
  for (const auto& file : all) {
    if (lstat(file.c_str(), &found) != 0) continue;
    if (found.st_uid != 0 || found.st_gid != 0) return fail(file + " is not root's");
  }
  return pass();
}

Verdict check_certificates(const Place& place, const CisItem& item) {
  const std::string path = path_of(place, item.subject);
  const List files = files_below(path, split(item.value, ','));
  if (files.empty()) return info("no such files below " + path);
  const WallTime now = std::chrono::floor<Micros>(std::chrono::system_clock::now());
  for (const auto& file : files) {
    auto text = read_file(file);
    auto certificate = text ? net::parse_certificate(*text)
                            : Result<net::CertificateInfo, std::string>(Err(text.error()));
    if (!certificate) return fail(file + ": " + certificate.error());
    if (now < certificate->not_before || now >= certificate->not_after) {
      return fail(file + " is not valid now");
    }
  }
  return pass(fmt::format("{} certificates", files.size()));
}

// ---- flags ----

// "!X" = X must be in the list, where the list is given.
Verdict check_list(const Place& place, const CisItem& item) {
  const List values = place.flags->values(std::string(item.subject));
  if (item.value.starts_with('!')) {
    const std::string_view wanted = item.value.substr(1);
    if (values.empty() || has(values, wanted)) return pass();
    return fail(fmt::format("--{} lacks {}", item.subject, wanted));
  }
  if (!has(values, item.value)) return pass();
  return fail(fmt::format("--{} has {}", item.subject, item.value));
}

// "*" = given; ">=N" = at least; "a|" = a, or not given. Names of flags are alternatives.
Verdict check_value(const Place& place, const CisItem& item) {
  List values;
  for (const auto& name : split(item.subject, '|')) {
    if (values.empty()) values = place.flags->values(name);
  }
  const std::string shown = values.empty() ? "" : values.back();
  bool good = false;
  if (item.value == "*") {
    good = !shown.empty() && shown != "false";
  } else if (item.value.starts_with(">=")) {
    good = parse_int(shown).value_or(0) >= *parse_int(item.value.substr(2));
  } else {
    good = has(split(item.value, '|'), shown) || (shown.empty() && item.value.ends_with('|'));
  }
  if (good) return pass(shown);
  // What is one flag away is no fault of the installation.
  return info(fmt::format("--{} is {}", item.subject, shown.empty() ? "not given" : shown));
}

Verdict check_plugin(const Place& place, const CisItem& item, bool on_by_default) {
  const auto& flags = *place.flags;
  const bool off = has(flags.values("disable-admission-plugins"), item.subject) ||
                   has(flags.values("disable"), item.subject);
  const bool on = has(flags.values("enable-admission-plugins"), item.subject) || on_by_default;
  if (on && !off) return pass();
  if (on_by_default) return fail(fmt::format("{} is disabled", item.subject));
  return info(fmt::format("{} is off", item.subject));
}

// ---- the running process ----

bool listens(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool connected = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return connected;
}

Verdict check_refused(uint16_t port, std::string_view path) {
  if (!listens(port)) return info(fmt::format("nobody listens on port {}", port));
  // Who answers is not the question: only that it does not tell strangers anything.
  auto tls = net::TlsClientContext::create({.insecure_skip_verify = true});
  if (!tls) return info(tls.error());
  net::HttpClientOptions options;
  options.base_url = fmt::format("https://127.0.0.1:{}", port);
  options.tls = *tls;
  options.request_timeout = Millis{10000};
  auto answer = net::HttpClient::create(options)->request("GET", std::string(path), {}, "");
  if (!answer) return info(answer.error());
  const std::string text = fmt::format("{} answers {}", path, answer->status);
  return answer->status == 401 || answer->status == 403 ? pass(text) : fail(text);
}

Verdict look_at(const Place& place, const CisItem& item) {
  const bool server = place.flags->is_server();
  const auto of_server = [&](Verdict verdict) {
    return server ? verdict : info("no orch server runs here");
  };
  switch (item.way) {
    case CisWay::kFile:
      return check_file(place, item);
    case CisWay::kTree:
      return check_tree(place, item);
    case CisWay::kOwner:
      return check_owner(place, item);
    case CisWay::kCertificates:
      return check_certificates(place, item);
    case CisWay::kFlagLacks:
      return of_server(check_list(place, item));
    case CisWay::kFlagIs:
      return check_value(place, item);
    case CisWay::kFlagUnset: {
      const bool given = !place.flags->values(std::string(item.subject)).empty();
      return given ? fail(fmt::format("--{} is given", item.subject)) : pass();
    }
    case CisWay::kPluginOn:
      return of_server(check_plugin(place, item, true));
    case CisWay::kPluginOff:
      return of_server(check_plugin(place, item, false));
    case CisWay::kApiRefuses:
      return of_server(check_refused(place.api_port, item.subject));
    case CisWay::kAgentRefuses:
      return check_refused(place.agent_port, item.subject);
    case CisWay::kPortClosed: {
      const auto port = static_cast<uint16_t>(*parse_int(item.subject));
      return listens(port) ? fail(fmt::format("somebody listens on port {}", port)) : pass();
    }
    case CisWay::kNote:
      break;
  }
  return info("");
}

void print_item(const CisItem& item, const Verdict& verdict) {
  constexpr const char* kWords[] = {"PASS", "FAIL", "INFO"};
  std::string text = verdict.text;
  if (!item.remark.empty() && verdict.kind != Verdict::kPass) {
    text += (text.empty() ? "" : "; ") + std::string(item.remark);
  }
  fmt::print("{}  {:<7} {}{}\n", kWords[verdict.kind], item.number, item.about,
             text.empty() ? "" : ": " + text);
}

}  // namespace

int check_command(int argc, char** argv) {
  if (argc < 2 || std::string_view(argv[1]) != "cis") {
    const bool asked =
        argc > 1 && (std::string_view(argv[1]) == "--help" || std::string_view(argv[1]) == "-h");
    std::fputs(
        "Usage: orch check cis [flags]\n\nLooks at this node as the CIS Kubernetes Benchmark "
        "does; see docs/security.md.\n",
        asked ? stdout : stderr);
    return asked ? 0 : 2;
  }
  Place place{.data_dir = "/var/lib/orch"};
  std::string config_file = "/etc/orch/config.yaml";
  Options options("orch check cis",
                  "Says for each point of the CIS Kubernetes Benchmark how this node stands: PASS, "
                  "FAIL or INFO. Exits with 1 if any failed.");
  options.add("data-dir", place.data_dir, "The data dir of the orch looked at");
  options.add("https-listen-port", place.api_port, "Port of the Kubernetes API");
  options.add("kubelet-port", place.agent_port, "Port of the agent's API");
  options.share_file();
  if (auto parsed = options.parse(argc - 1, argv + 1); !parsed) {
    std::fputs(parsed.error().text.c_str(), parsed.error().code == 0 ? stdout : stderr);
    return parsed.error().code;
  }
  const RunningFlags flags(config_file);
  place.flags = &flags;
  if (!flags.running()) fmt::print(stderr, "warning: no orch runs on this machine\n");
  size_t counts[3] = {};
  for (const auto& item : cis_items()) {
    Verdict verdict = look_at(place, item);
    // What holds by how it is made is said, not looked at.
    if (item.way == CisWay::kNote && item.remark.starts_with("PASS: ")) {
      fmt::print("PASS  {:<7} {}: {}\n", item.number, item.about, item.remark.substr(6));
      ++counts[Verdict::kPass];
      continue;
    }
    ++counts[verdict.kind];
    print_item(item, verdict);
  }
  fmt::print("\n{} passed, {} failed, {} to be judged by people or not applicable\n",
             counts[Verdict::kPass], counts[Verdict::kFail], counts[Verdict::kInfo]);
  return counts[Verdict::kFail] == 0 ? 0 : 1;
}

}  // namespace orch::cmd
