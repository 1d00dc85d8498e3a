#include "agent/cri/channel.h"

#include <google/protobuf/message_lite.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace orch::agent::cri {
namespace {

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

Error to_error(const grpc::Status& status) {
  const std::string& m = status.error_message();
  switch (status.error_code()) {
    case grpc::StatusCode::NOT_FOUND:
      return {Error::Code::kNotFound, m};
    case grpc::StatusCode::ALREADY_EXISTS:
      return {Error::Code::kAlreadyExists, m};
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return {Error::Code::kTimeout, m};
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::CANCELLED:
      return {Error::Code::kUnavailable, m};
    default:
      break;
  }
  // Runtimes wrap these in UNKNOWN.
  if (has(m, "is reserved for")) return {Error::Code::kAlreadyExists, m};
  if (has(m, "context deadline exceeded")) return {Error::Code::kTimeout, m};
  if (has(m, "server is not initialized yet")) return {Error::Code::kUnavailable, m};
  return {Error::Code::kInternal, "rpc error: code = Unknown desc = " + m};
}

struct Call {
  grpc::ClientContext context;
  grpc::ByteBuffer answer_bytes;
  grpc::Status status;
  Channel::Answer answer;
  std::unique_ptr<grpc::ClientAsyncResponseReader<grpc::ByteBuffer>> reader;
};

class GrpcChannel final : public Channel {
 public:
  explicit GrpcChannel(const std::string& endpoint) {
    grpc::ChannelArguments args;
    args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    args.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
    args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
    args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
    args.SetMaxReceiveMessageSize(16 * 1024 * 1024);
    // The socket path as authority is refused by some Go servers.
    args.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
    grpc::ResourceQuota quota("cri");
    quota.SetMaxThreads(2);
    args.SetResourceQuota(quota);
    std::string target = endpoint.starts_with("/") ? "unix://" + endpoint : endpoint;
    auto channel = grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), args);
    stub_ = std::make_unique<grpc::GenericStub>(channel);
    thread_ = std::thread([this] { run(); });
  }

  ~GrpcChannel() override {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
      for (Call* call : running_) call->context.TryCancel();
      queue_.Shutdown();
    }
    thread_.join();
  }

  void call_bytes(const char* method, const std::string& request, Millis timeout,
                  Answer answer) override {
    grpc::Slice slice(request);
    auto call = std::make_unique<Call>();
    call->answer = std::move(answer);
    call->context.set_deadline(std::chrono::system_clock::now() + timeout);
    {
      std::lock_guard lock(mutex_);
      if (!closed_) {
        Call* c = call.release();
        running_.insert(c);
        c->reader =
            stub_->PrepareUnaryCall(&c->context, method, grpc::ByteBuffer(&slice, 1), &queue_);
        c->reader->StartCall();
        c->reader->Finish(&c->answer_bytes, &c->status, c);
        return;
      }
    }
    call->answer(Err(Error{Error::Code::kUnavailable, "runtime client is closed"}));
  }

 private:
  void run() {
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
      std::unique_ptr<Call> call(static_cast<Call*>(tag));
      {
        std::lock_guard lock(mutex_);
        running_.erase(call.get());
      }
      if (!call->status.ok()) {
        call->answer(Err(to_error(call->status)));
        continue;
      }
      std::string out;
      std::vector<grpc::Slice> slices;
      if (call->answer_bytes.Valid() && call->answer_bytes.Dump(&slices).ok()) {
        for (const auto& s : slices) out.append(reinterpret_cast<const char*>(s.begin()), s.size());
      }
      call->answer(std::move(out));
    }
  }

  std::unique_ptr<grpc::GenericStub> stub_;
  grpc::CompletionQueue queue_;
  std::mutex mutex_;
  bool closed_ = false;
  std::set<Call*> running_;
  std::thread thread_;
};

}  // namespace

void Channel::call(const char* method, const google::protobuf::MessageLite& request, Millis timeout,
                   Answer answer) {
  call_bytes(method, request.SerializeAsString(), timeout, std::move(answer));
}

std::unique_ptr<Channel> Channel::create(const std::string& endpoint) {
  return std::make_unique<GrpcChannel>(endpoint);
}

}  // namespace orch::agent::cri
