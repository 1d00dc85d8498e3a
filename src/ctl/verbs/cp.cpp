// cp: files into and out of containers, through tar on both sides.
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "ctl/pods.h"
#include "ctl/process.h"
#include "ctl/remote_command.h"
#include "ctl/write.h"
#include "orch/base/strings.h"

extern char** environ;

namespace orch::ctl {
namespace {

using api::JsonValue;
namespace fs = std::filesystem;

// One end of a copy: "NAMESPACE/POD:PATH", "POD:PATH" or a local path.
struct Place {
  std::string namespace_, pod, path;
};

Outcome<Place> parse_place(const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos) return Place{"", "", text};
  const std::string pod = text.substr(0, colon);
  const auto parts = split(pod, '/');
  if (pod.empty() || parts.size() > 2)
    return Err(error("filespec must match the canonical format: [[namespace/]pod:]file/path"));
  // A local path with a colon is written ./a:b.
  if (pod[0] == '.' || pod[0] == '/') return Place{"", "", text};
  return Place{parts.size() == 2 ? parts[0] : "", parts.back(), text.substr(colon + 1)};
}

// Puts `fd` in place of one of this process's own streams, as long as it lives.
class Redirected {
 public:
  Redirected(int fd, int stream) : stream_(stream), before_(fcntl(stream, F_DUPFD_CLOEXEC, 3)) {
    ::dup2(fd, stream);
  }
  ~Redirected() {
    if (before_ >= 0) {
      ::dup2(before_, stream_);
      ::close(before_);
    } else {
      ::close(stream_);
    }
  }
  Redirected(const Redirected&) = delete;

 private:
  int stream_, before_;
};

// A program with a pipe at one of its standard streams; `fd` is this process's end.
struct Piped {
  pid_t pid = 0;
  int fd = -1;
};
Outcome<Piped> start(const std::vector<std::string>& argv, bool feeds_us) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Err(error(std::strerror(errno)));
  const int its = feeds_us ? ends[1] : ends[0], ours = feeds_us ? ends[0] : ends[1];
  std::vector<char*> words;
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, its, feeds_us ? STDOUT_FILENO : STDIN_FILENO);
  Piped out;
  const int failed = posix_spawnp(&out.pid, words[0], &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(its);
  out.fd = ours;
  if (failed == 0) return out;
  ::close(ours);
  return Err(error(fmt::format("unable to run \"{}\": {}", argv[0], std::strerror(failed))));
}

Outcome<Unit> finish(const Piped& piped, const std::string& name) {
  int status = 0;
  while (waitpid(piped.pid, &status, 0) < 0) {
    if (errno != EINTR) return Err(error(std::strerror(errno)));
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return Unit{};
  return Err(error(fmt::format("the local {} failed", name)));
}

class Remote {
 public:
  static Outcome<Remote> of(Session& session, const Place& place) {
    ORCH_TRY(std::string ns, session.namespace_());
    if (!place.namespace_.empty()) ns = place.namespace_;
    ORCH_TRY(ApiClient * client, session.api());
    Call call;
    call.target = fmt::format("/api/v1/namespaces/{}/pods/{}", net::url_encode(ns),
                              net::url_encode(place.pod));
    ORCH_TRY(const JsonValue pod, client->json(call));
    const std::string phase = pod.at("status.phase").text();
    if (phase == "Succeeded" || phase == "Failed") {
      return Err(error(fmt::format(
          "cannot exec into a container in a completed pod; current phase is {}", phase)));
    }
    ORCH_TRY(const std::string container,
             pick_container(pod, session.flags.text("container"), false));
    return Remote(*client, call.target, container);
  }

  Outcome<int> run(const std::vector<std::string>& command, bool with_stdin) const {
    std::vector<std::pair<std::string, std::string>> query{{"container", container_}};
    for (const std::string& word : command) query.emplace_back("command", word);
    query.emplace_back("stdin", with_stdin ? "true" : "");
    query.emplace_back("stdout", "true");
    query.emplace_back("stderr", "true");
    return run_remote(client_, path_ + "/exec" + query_text(query), {with_stdin, false});
  }

 private:
  Remote(ApiClient& client, std::string path, std::string container)
      : client_(client), path_(std::move(path)), container_(std::move(container)) {}
  ApiClient& client_;
  std::string path_, container_;
};

Outcome<Unit> expect_zero(int code) {
  if (code == 0) return Unit{};
  return Err(Failure{fmt::format("command terminated with exit code {}", code), code, ""});
}

std::string base_name(const std::string& path) {
  const std::string trimmed = fs::path(path).lexically_normal().string();
  const fs::path without = trimmed.size() > 1 && trimmed.back() == '/'
                               ? fs::path(trimmed.substr(0, trimmed.size() - 1))
                               : fs::path(trimmed);
  return without.filename().string();
}

// For a sed expression of tar's.
std::string escaped(const std::string& text, std::string_view special) {
  std::string out;
  for (const char c : text) {
    if (special.find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

Outcome<Unit> upload(Session& session, const std::string& from, Place to) {
  std::error_code failed;
  if (!fs::exists(from, failed)) {
    return Err(error(fmt::format("{} doesn't exist in local filesystem", from)));
  }
  if (to.path.empty()) return Err(error("filepath can not be empty"));
  ORCH_TRY(const Remote remote, Remote::of(session, to));
  {
    // Into a folder that is there, beside what else is in it.
    const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    const Redirected out(nowhere, STDOUT_FILENO), errors(nowhere, STDERR_FILENO);
    ::close(nowhere);
    auto is_folder = remote.run({"test", "-d", to.path}, false);
    if (is_folder && *is_folder == 0) to.path += "/" + base_name(fs::absolute(from).string());
  }
  // Packed under the name it has there.
  const fs::path source = fs::canonical(from, failed);
  if (failed) return Err(error(fmt::format("{}: {}", from, failed.message())));
  const std::string name = base_name(to.path), own = source.filename().string();
  std::vector<std::string> local{"tar", "-cf", "-", "-C", source.parent_path().string()};
  if (name != own) {
    local.push_back(fmt::format("--transform=flags=r;s,^{},{},", escaped(own, "[]\\.*^$,"),
                                escaped(name, "\\&,")));
  }
  local.insert(local.end(), {"--", own});
  const std::string parent = fs::path(to.path).lexically_normal().parent_path().string();
  std::vector<std::string> command{"tar", "-xmf", "-"};
  if (session.flags.on("no-preserve")) {
    command = {"tar", "--no-same-permissions", "--no-same-owner", "-xmf", "-"};
  }
  command.insert(command.end(), {"-C", parent.empty() ? "." : parent});
  ORCH_TRY(const Piped tar, start(local, true));
  Outcome<int> code = 0;
  {
    const Redirected in(tar.fd, STDIN_FILENO);
    ::close(tar.fd);
    code = remote.run(command, true);
  }
  auto packed = finish(tar, "tar");
  if (!code) return Err(code.error());
  ORCH_CHECK(expect_zero(*code));
  return packed;
}

Outcome<Unit> download(Session& session, const Place& from, const std::string& to) {
  if (from.path.empty()) return Err(error("filepath can not be empty"));
  ORCH_TRY(const Remote remote, Remote::of(session, from));
  std::error_code failed;
  std::string target = to;
  if (fs::is_directory(to, failed)) {
    const std::string name = base_name(from.path);
    if (name != "." && !name.empty()) target += "/" + name;
  }
  ORCH_TRY(const TempFolder folder, TempFolder::make("kubectl-cp-"));
  ORCH_TRY(const Piped tar, start({"tar", "-xf", "-", "-C", folder.path()}, false));
  Outcome<int> code = 0;
  {
    const Redirected out(tar.fd, STDOUT_FILENO);
    ::close(tar.fd);
    const fs::path path = fs::path(from.path).lexically_normal();
    const std::string parent = path.parent_path().string();
    code = remote.run({"tar", "cf", "-", "-C", parent.empty() ? "." : parent, base_name(from.path)},
                      false);
  }
  auto unpacked = finish(tar, "tar");
  if (!code) return Err(code.error());
  ORCH_CHECK(expect_zero(*code));
  ORCH_CHECK(unpacked);
  const std::string source = folder.path() + "/" + base_name(from.path);
  fs::copy(source, target,
           fs::copy_options::recursive | fs::copy_options::overwrite_existing |
               fs::copy_options::skip_symlinks,
           failed);  // links of a container mean nothing here, or harm
  if (failed) return Err(error(fmt::format("{}: {}", target, failed.message())));
  return Unit{};
}

Outcome<int> run(Session& session) {
  const auto& args = session.flags.args();
  if (args.size() != 2) return Err(error("source and destination are required"));
  ORCH_TRY(const Place from, parse_place(args[0]));
  ORCH_TRY(const Place to, parse_place(args[1]));
  if (!from.pod.empty() && !to.pod.empty()) {
    return Err(error("one of src or dest must be a local file specification"));
  }
  if (from.pod.empty() && to.pod.empty()) {
    return Err(error("one of src or dest must be a remote file specification"));
  }
  if (from.path.empty() || to.path.empty()) return Err(error("filepath can not be empty"));
  if (from.pod.empty()) {
    ORCH_CHECK(upload(session, from.path, to));
  } else {
    ORCH_CHECK(download(session, from, to.path));
  }
  return 0;
}

}  // namespace

Verb cp_verb() {
  using Kind = Flag::Kind;
  return {"cp",
          "Copy files into and out of containers",
          "cp (FILE [NAMESPACE/]POD:PATH | [NAMESPACE/]POD:PATH FILE) [-c CONTAINER]",
          {{"container", 'c', Kind::kText, "", "the container; default: the pod's first"},
           {"no-preserve", 0, Kind::kBool, "false", "owner and mode are not kept"},
           {"retries", 0, Kind::kText, "0", "for kubectl's sake"}},
          run};
}

}  // namespace orch::ctl
