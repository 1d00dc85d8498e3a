#include "agent/cri/cri_runtime.h"

#include <runtime_v1.pb.h>

#include <memory>
#include <utility>

#include "agent/cri/channel.h"
#include "agent/cri/convert.h"

namespace orch::agent {
namespace {

namespace v1 = ::runtime::v1;
using cri::Channel;
using cri::from_message;
using cri::to_message;

#define RUNTIME(method) "/runtime.v1.RuntimeService/" method
#define IMAGES(method) "/runtime.v1.ImageService/" method

constexpr Millis kQuick{30'000};
constexpr Millis kSandbox{4 * 60'000};  // as kubelet: twice the runtime request timeout
constexpr Millis kPull{60 * 60'000};

class CriRuntime final : public ContainerRuntime {
 public:
  explicit CriRuntime(const std::string& endpoint) : channel_(Channel::create(endpoint)) {}

  void status(Done<RuntimeInfo> done) override {
    v1::StatusRequest request;
    call<v1::StatusResponse>(
        RUNTIME("Status"), request, kQuick,
        [this, done = std::move(done)](Result<v1::StatusResponse, Error> answer) mutable {
          if (!answer) return done(Err(std::move(answer).error()));
          add_version(from_message(*answer), std::move(done));
        });
  }

  void list(Done<RuntimeView> done) override {
    call<v1::ListPodSandboxResponse>(
        RUNTIME("ListPodSandbox"), v1::ListPodSandboxRequest{}, kQuick,
        [this, done = std::move(done)](Result<v1::ListPodSandboxResponse, Error> answer) mutable {
          if (!answer) return done(Err(std::move(answer).error()));
          RuntimeView view;
          view.sandboxes.reserve(answer->items_size());
          for (const auto& item : answer->items()) view.sandboxes.push_back(from_message(item));
          list_containers(std::move(view), std::move(done));
        });
  }

  void run_sandbox(const SandboxSpec& spec, Done<std::string> done) override {
    v1::RunPodSandboxRequest request;
    *request.mutable_config() = to_message(spec);
    request.set_runtime_handler(spec.runtime_handler);
    call<v1::RunPodSandboxResponse>(
        RUNTIME("RunPodSandbox"), request, kSandbox,
        [done = std::move(done)](Result<v1::RunPodSandboxResponse, Error> answer) {
          if (!answer) return done(Err(std::move(answer).error()));
          done(answer->pod_sandbox_id());
        });
  }

  void stop_sandbox(const std::string& id, Done<Unit> done) override {
    v1::StopPodSandboxRequest request;
    request.set_pod_sandbox_id(id);
    unit<v1::StopPodSandboxResponse>(RUNTIME("StopPodSandbox"), request, kSandbox, std::move(done));
  }

  void remove_sandbox(const std::string& id, Done<Unit> done) override {
    v1::RemovePodSandboxRequest request;
    request.set_pod_sandbox_id(id);
    unit<v1::RemovePodSandboxResponse>(RUNTIME("RemovePodSandbox"), request, kSandbox,
                                       std::move(done));
  }

  void sandbox_status(const std::string& id, Done<SandboxView> done) override {
    v1::PodSandboxStatusRequest request;
    request.set_pod_sandbox_id(id);
    call<v1::PodSandboxStatusResponse>(
        RUNTIME("PodSandboxStatus"), request, kQuick,
        [done = std::move(done)](Result<v1::PodSandboxStatusResponse, Error> answer) {
          if (!answer) return done(Err(std::move(answer).error()));
          done(from_message(answer->status()));
        });
  }

  void create_container(const ContainerSpec& spec, Done<std::string> done) override {
    v1::CreateContainerRequest request;
    request.set_pod_sandbox_id(spec.sandbox_id);
    *request.mutable_config() = to_message(spec);
    *request.mutable_sandbox_config() = to_message(spec.sandbox);
    call<v1::CreateContainerResponse>(
        RUNTIME("CreateContainer"), request, kSandbox,
        [done = std::move(done)](Result<v1::CreateContainerResponse, Error> answer) {
          if (!answer) return done(Err(std::move(answer).error()));
          done(answer->container_id());
        });
  }

  void start_container(const std::string& id, Done<Unit> done) override {
    v1::StartContainerRequest request;
    request.set_container_id(id);
    call<v1::StartContainerResponse>(
        RUNTIME("StartContainer"), request, kSandbox,
        [done = std::move(done)](Result<v1::StartContainerResponse, Error> answer) {
          if (!answer) return done(Err(std::move(answer).error()));
          done(Unit{});
        });
  }

  void stop_container(const std::string& id, Seconds grace, Done<Unit> done) override {
    v1::StopContainerRequest request;
    request.set_container_id(id);
    request.set_timeout(grace.count());
    unit<v1::StopContainerResponse>(RUNTIME("StopContainer"), request, kSandbox + Millis(grace),
                                    std::move(done));
  }

  void remove_container(const std::string& id, Done<Unit> done) override {
    v1::RemoveContainerRequest request;
    request.set_container_id(id);
    unit<v1::RemoveContainerResponse>(RUNTIME("RemoveContainer"), request, kSandbox,
                                      std::move(done));
  }

  void container_status(const std::string& id, Done<ContainerView> done) override {
    v1::ContainerStatusRequest request;
    request.set_container_id(id);
    call<v1::ContainerStatusResponse>(
        RUNTIME("ContainerStatus"), request, kQuick,
        [done = std::move(done)](Result<v1::ContainerStatusResponse, Error> answer) {
          if (!answer) return done(Err(std::move(answer).error()));
          done(from_message(answer->status()));
        });
  }

  void update_resources(const std::string& id, const LinuxResources& resources,
                        Done<Unit> done) override {
    v1::UpdateContainerResourcesRequest request;
    request.set_container_id(id);
    *request.mutable_linux_part() = to_message(resources);
    call<v1::UpdateContainerResourcesResponse>(
        RUNTIME("UpdateContainerResources"), request, kQuick,
        [done = std::move(done)](Result<v1::UpdateContainerResourcesResponse, Error> answer) {
          if (!answer) return done(Err(std::move(answer).error()));
          done(Unit{});
        });
  }

  void reopen_log(const std::string& id, Done<Unit> done) override {
    v1::ReopenContainerLogRequest request;
    request.set_container_id(id);
    unit<v1::ReopenContainerLogResponse>(RUNTIME("ReopenContainerLog"), request, kQuick,
                                         std::move(done));
  }

  void exec_sync(const std::string& id, const std::vector<std::string>& command, Seconds timeout,
                 Done<ExecOutput> done) override {
    v1::ExecSyncRequest request;
    request.set_container_id(id);
    for (const auto& word : command) request.add_cmd(word);
    request.set_timeout(timeout.count());
    // The runtime ends the command at the timeout; we wait a little longer for its answer.
    Millis wait = timeout.count() > 0 ? Millis(timeout) + Millis{15'000} : kPull;
    call<v1::ExecSyncResponse>(
        RUNTIME("ExecSync"), request, wait,
        [done = std::move(done)](Result<v1::ExecSyncResponse, Error> answer) {
          if (!answer) return done(Err(std::move(answer).error()));
          done(ExecOutput{answer->stdout(), answer->stderr(), answer->exit_code()});
        });
  }

  void exec(const std::string& id, const ExecOptions& options, Done<std::string> done) override {
    v1::ExecRequest request;
    request.set_container_id(id);
    for (const auto& word : options.command) request.add_cmd(word);
    request.set_tty(options.tty);
    request.set_stdin(options.stdin_open);
    request.set_stdout(options.stdout_open);
    request.set_stderr(options.stderr_open && !options.tty);
    url<v1::ExecResponse>(RUNTIME("Exec"), request, std::move(done));
  }

  void attach(const std::string& id, const ExecOptions& options, Done<std::string> done) override {
    v1::AttachRequest request;
    request.set_container_id(id);
    request.set_tty(options.tty);
    request.set_stdin(options.stdin_open);
    request.set_stdout(options.stdout_open);
    request.set_stderr(options.stderr_open && !options.tty);
    url<v1::AttachResponse>(RUNTIME("Attach"), request, std::move(done));
  }

  void port_forward(const std::string& sandbox_id, const std::vector<int32_t>& ports,
                    Done<std::string> done) override {
    v1::PortForwardRequest request;
    request.set_pod_sandbox_id(sandbox_id);
    for (int32_t port : ports) request.add_port(port);
    url<v1::PortForwardResponse>(RUNTIME("PortForward"), request, std::move(done));
  }

  void container_stats(Done<std::vector<UsageView>> done) override {
    call<v1::ListContainerStatsResponse>(
        RUNTIME("ListContainerStats"), v1::ListContainerStatsRequest{}, kQuick,
        [done = std::move(done)](Result<v1::ListContainerStatsResponse, Error> answer) {
          if (!answer) return done(Err(std::move(answer).error()));
          std::vector<UsageView> out;
          for (const auto& item : answer->stats()) out.push_back(from_message(item));
          done(std::move(out));
        });
  }

  void sandbox_stats(Done<std::vector<UsageView>> done) override {
    call<v1::ListPodSandboxStatsResponse>(
        RUNTIME("ListPodSandboxStats"), v1::ListPodSandboxStatsRequest{}, kQuick,
        [done = std::move(done)](Result<v1::ListPodSandboxStatsResponse, Error> answer) {
          if (!answer) return done(Err(std::move(answer).error()));
          std::vector<UsageView> out;
          for (const auto& item : answer->stats()) out.push_back(from_message(item));
          done(std::move(out));
        });
  }

  void image_status(const std::string& image, Done<std::optional<ImageView>> done) override {
    v1::ImageStatusRequest request;
    request.mutable_image()->set_image(image);
    call<v1::ImageStatusResponse>(
        IMAGES("ImageStatus"), request, kQuick,
        [done = std::move(done)](Result<v1::ImageStatusResponse, Error> answer) {
          if (!answer) return done(Err(std::move(answer).error()));
          if (!answer->has_image()) return done(std::optional<ImageView>{});
          done(std::optional<ImageView>(from_message(answer->image())));
        });
  }

  void list_images(Done<std::vector<ImageView>> done) override {
    call<v1::ListImagesResponse>(
        IMAGES("ListImages"), v1::ListImagesRequest{}, kQuick,
        [done = std::move(done)](Result<v1::ListImagesResponse, Error> answer) {
          if (!answer) return done(Err(std::move(answer).error()));
          std::vector<ImageView> out;
          for (const auto& image : answer->images()) out.push_back(from_message(image));
          done(std::move(out));
        });
  }

  void pull_image(const std::string& image, const std::optional<ImageAuth>& auth,
                  Done<std::string> done) override {
    v1::PullImageRequest request;
    request.mutable_image()->set_image(image);
    if (auth) {
      auto* a = request.mutable_auth();
      a->set_username(auth->username);
      a->set_password(auth->password);
      a->set_auth(auth->auth);
      a->set_server_address(auth->server_address);
      a->set_identity_token(auth->identity_token);
      a->set_registry_token(auth->registry_token);
    }
    call<v1::PullImageResponse>(
        IMAGES("PullImage"), request, kPull,
        [done = std::move(done)](Result<v1::PullImageResponse, Error> answer) {
          if (answer) return done(answer->image_ref());
          Error error = std::move(answer).error();
          if (error.code != Error::Code::kUnavailable) error.code = Error::Code::kImageMissing;
          done(Err(std::move(error)));
        });
  }

  void remove_image(const std::string& image, Done<Unit> done) override {
    v1::RemoveImageRequest request;
    request.mutable_image()->set_image(image);
    unit<v1::RemoveImageResponse>(IMAGES("RemoveImage"), request, kQuick, std::move(done));
  }

  void image_fs(Done<std::vector<FilesystemView>> done) override {
    call<v1::ImageFsInfoResponse>(
        IMAGES("ImageFsInfo"), v1::ImageFsInfoRequest{}, kQuick,
        [done = std::move(done)](Result<v1::ImageFsInfoResponse, Error> answer) {
          if (!answer) return done(Err(std::move(answer).error()));
          std::vector<FilesystemView> out;
          for (const auto& fs : answer->image_filesystems()) {
            out.push_back(
                {fs.fs_id().mountpoint(), fs.used_bytes().value(), fs.inodes_used().value()});
          }
          done(std::move(out));
        });
  }

 private:
  template <class Response>
  void call(const char* method, const google::protobuf::MessageLite& request, Millis timeout,
            std::function<void(Result<Response, Error>)> done) {
    channel_->call(method, request, timeout,
                   [method, done = std::move(done)](Result<std::string, Error> bytes) {
                     if (!bytes) return done(Err(std::move(bytes).error()));
                     Response response;
                     if (!response.ParseFromString(*bytes)) {
                       return done(Err(Error{Error::Code::kInternal,
                                             std::string("malformed answer to ") + method}));
                     }
                     done(std::move(response));
                   });
  }

  // Stops and removals: what is gone already is done.
  template <class Response>
  void unit(const char* method, const google::protobuf::MessageLite& request, Millis timeout,
            Done<Unit> done) {
    call<Response>(method, request, timeout,
                   [done = std::move(done)](Result<Response, Error> answer) {
                     if (!answer && answer.error().code != Error::Code::kNotFound) {
                       return done(Err(std::move(answer).error()));
                     }
                     done(Unit{});
                   });
  }

  template <class Response>
  void url(const char* method, const google::protobuf::MessageLite& request,
           Done<std::string> done) {
    call<Response>(method, request, kQuick,
                   [done = std::move(done)](Result<Response, Error> answer) {
                     if (!answer) return done(Err(std::move(answer).error()));
                     done(answer->url());
                   });
  }

  void add_version(RuntimeInfo info, Done<RuntimeInfo> done) {
    call<v1::VersionResponse>(RUNTIME("Version"), v1::VersionRequest{}, kQuick,
                              [info = std::move(info), done = std::move(done)](
                                  Result<v1::VersionResponse, Error> answer) mutable {
                                if (!answer) return done(Err(std::move(answer).error()));
                                info.name = answer->runtime_name();
                                info.version = answer->runtime_version();
                                done(std::move(info));
                              });
  }

  void list_containers(RuntimeView view, Done<RuntimeView> done) {
    call<v1::ListContainersResponse>(RUNTIME("ListContainers"), v1::ListContainersRequest{}, kQuick,
                                     [view = std::move(view), done = std::move(done)](
                                         Result<v1::ListContainersResponse, Error> answer) mutable {
                                       if (!answer) return done(Err(std::move(answer).error()));
                                       view.containers.reserve(answer->containers_size());
                                       for (const auto& c : answer->containers())
                                         view.containers.push_back(from_message(c));
                                       done(std::move(view));
                                     });
  }

  std::unique_ptr<Channel> channel_;
};

}  // namespace

std::unique_ptr<ContainerRuntime> make_cri_runtime(const std::string& endpoint) {
  return std::make_unique<CriRuntime>(endpoint);
}

}  // namespace orch::agent
