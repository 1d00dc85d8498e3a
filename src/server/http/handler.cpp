#include "server/http/handler.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>

#include "orch/base/log.h"
#include "orch/base/metrics.h"
#include "orch/base/strings.h"
#include "server/api/authorize.h"
#include "server/api/encode.h"
#include "server/audit/audit.h"
#include "server/http/filters.h"
#include "server/http/flow_control.h"

namespace orch::server {
namespace {

constexpr size_t kHugeBody = size_t{1} << 20;

Call make_call(const net::HttpRequest& request) {
  Call call;
  call.info = parse_request(request.method, request.path, request.query);
  call.method = request.method;
  call.query = request.query;
  // Several Accept headers count as one list.
  for (auto [it, end] = request.headers.equal_range("Accept"); it != end; ++it) {
    call.accept += (call.accept.empty() ? "" : ",") + it->second;
  }
  call.content_type = net::header(request.headers, "Content-Type");
  call.user_agent = net::header(request.headers, "User-Agent");
  call.if_none_match = net::header(request.headers, "If-None-Match");
  call.body = request.body;
  call.http = &request;
  call.may_park = true;
  return call;
}

api::ApiResult<Unit> check_encoding(const net::HttpRequest& request) {
  const auto encoding = net::header(request.headers, "Content-Encoding");
  if (encoding.empty() || iequals(encoding, "identity")) return Unit{};
  return Err(api::unsupported_media_type(
      fmt::format("the content encoding \"{}\" is not supported", encoding)));
}

// Tells the audit when a stream ends.
class AuditedStream final : public net::Stream {
 public:
  AuditedStream(std::shared_ptr<net::Stream> inner, std::function<void()> ended)
      : inner_(std::move(inner)), ended_(std::move(ended)) {
    inner_->on_close(ended_);
  }
  bool write(std::string bytes) override { return inner_->write(std::move(bytes)); }
  bool write(std::shared_ptr<const std::string> bytes) override {
    return inner_->write(std::move(bytes));
  }
  size_t buffered_bytes() const override { return inner_->buffered_bytes(); }
  bool wait_below(size_t bytes, Millis timeout) override {
    return inner_->wait_below(bytes, timeout);
  }
  void finish() override { inner_->finish(); }
  void on_close(std::function<void()> fn) override {
    inner_->on_close([fn = std::move(fn), ended = ended_] {
      fn();
      ended();
    });
  }

 private:
  const std::shared_ptr<net::Stream> inner_;
  const std::function<void()> ended_;
};

// What an answer is audited with: at once, or when the stream or connection it became ends.
void audit_answer(const std::shared_ptr<AuditRecord>& record, net::HttpResponse& response) {
  net::HttpResponse last;
  last.status = response.status;
  if (response.upgrade_run()) {
    record->started(response.status);
    response.upgrade([record, last, run = response.upgrade_run()](
                         std::unique_ptr<net::RawConnection> connection) {
      run(std::move(connection));
      record->complete(last, false);
    });
  } else if (response.stream_start()) {
    record->started(response.status);
    response.stream(
        [record, last, start = response.stream_start()](std::shared_ptr<net::Stream> stream) {
          start(std::make_shared<AuditedStream>(std::move(stream),
                                                [record, last] { record->complete(last, false); }));
        });
  } else {
    if (record->wants_body(response.status)) response.join_body();
    record->complete(response, true);
  }
}

// How a request tried to say who it is.
std::string attempted(const net::HttpRequest& request) {
  const auto authorization = net::header(request.headers, "Authorization");
  if (authorization.empty()) {
    return request.peer.error.empty() ? "none" : "x509";
  }
  return to_lower(authorization.substr(0, authorization.find(' ')));
}

// One request on its way; held while it waits.
struct Passage {
  Call call;
  MonoTime start{};
  std::string audit_id;
  std::shared_ptr<AuditRecord> audit;
  FlowControl::TicketPtr ticket;
};
using PassagePtr = std::shared_ptr<Passage>;

class Pipeline : public std::enable_shared_from_this<Pipeline> {
 public:
  Pipeline(ApiServer& server, const HttpHandlerOptions& options)
      : server_(server), options_(options), costs_(server) {}

  void serve(const net::HttpRequest& request, net::HttpResponse& response) {
    const auto passage = std::make_shared<Passage>();
    passage->start = server_.env().clock.mono();
    passage->call = make_call(request);
    passage->audit_id = random_uuid(server_.env().random);
    guarded(*passage, response, [&] { return identify(request, passage, response); });
  }

 private:
  // Runs a part of the way. Answers what fails; ends the request unless it was parked.
  template <class Part>
  void guarded(Passage& passage, net::HttpResponse& response, const Part& part) {
    Call& call = passage.call;
    response.set("Audit-Id", passage.audit_id);
    response.set("Cache-Control", "no-cache, private");
    try {
      if (auto passed = part(); !passed) refuse(call, passed.error(), response);
    } catch (const std::exception& e) {
      log::error("http", "{} {}: {}", call.method, call.info.path, e.what());
      if (const auto record = std::move(passage.audit)) record->panicked(e.what());
      response = net::HttpResponse();
      answer_error(call, api::internal_error("apiserver panic'd"), response);
    }
    if (response.parked()) return;
    const Micros took = server_.env().clock.mono() - passage.start;
    if (took > options_.request_timeout && !long_running(call)) {
      response = net::HttpResponse();
      answer_error(call, api::timeout("request did not complete within the allotted timeout", 0),
                   response);
    }
    passage.ticket.reset();
    if (const auto record = std::move(passage.audit)) audit_answer(record, response);
    count_request(call, response.status, static_cast<double>(took.count()) / 1e6);
    // What a huge body was decoded into is free now, but the allocator would keep it.
    if (call.http->body.size() > kHugeBody) malloc_trim(0);
  }

  void refuse(const Call& call, const api::Error& error, net::HttpResponse& response) {
    response.body.clear();
    response.tail = {};
    answer_error(call, error, response);
  }

  api::ApiResult<Unit> identify(const net::HttpRequest& request, const PassagePtr& passage,
                                net::HttpResponse& response) {
    Call& call = passage->call;
    ORCH_CHECK(check_encoding(request));
    if (!call.info.is_resource && server_.is_open_path(call.info.path)) {
      server_.handle(call, response);
      return Unit{};
    }
    const Hooks& hooks = server_.hooks();
    const auto known = authenticate(hooks, request, call);
    if (options_.audit != nullptr) passage->audit = options_.audit->begin(call, passage->audit_id);
    if (!known) {
      if (const auto record = std::move(passage->audit))
        record->unauthenticated(attempted(request));
      return Err(known.error());
    }
    if (passage->audit && !passage->audit->received()) {
      passage->audit.reset();
      return Err(api::internal_error("the request cannot be audited"));
    }
    ORCH_CHECK(impersonate(hooks, request, call));
    if (passage->audit && request.headers.contains("Impersonate-User")) {
      passage->audit->impersonated(call.user);
    }
    // Of what runs long only watches are counted, and these while they begin.
    if (options_.flow != nullptr && (!long_running(call) || call.info.verb == "watch")) {
      passage->ticket = options_.flow->enter(call.info, call.user, costs_.seats(call));
      using State = FlowControl::Ticket::State;
      if (passage->ticket->state() == State::kWaits || passage->ticket->wide()) {
        park(passage, response);
        return Unit{};
      }
    }
    return perform(passage, response);
  }

  // Short requests find the read workers free, as wide ones go on elsewhere.
  void park(const PassagePtr& passage, net::HttpResponse& response) {
    response.park([self = shared_from_this(), passage](net::HttpResponse::Resume resume) {
      // The passage holds the ticket, and the ticket what is to be woken: it lets go of that when
      // it calls it.
      passage->ticket->on_decided([self, passage, resume = std::move(resume)] {
        resume([self, passage](const net::HttpRequest&, net::HttpResponse& later) {
          self->guarded(*passage, later, [&] { return self->perform(passage, later); });
        });
      });
    });
  }

  // A verb parked the request: what it answers later ends the request here.
  void hold(const PassagePtr& passage, net::HttpResponse& response) {
    response.park([self = shared_from_this(), passage,
                   wait = response.parked()](net::HttpResponse::Resume resume) {
      resume.run = [self, passage, run = std::move(resume.run)](net::HttpHandler verb,
                                                                net::HttpResponse::Resume::On on) {
        run(
            [self, passage, verb = std::move(verb)](const net::HttpRequest& request,
                                                    net::HttpResponse& later) {
              self->guarded(*passage, later, [&] {
                self->flow_headers(*passage, later);
                verb(request, later);
                self->finish(passage, later);
                return api::ApiResult<Unit>(Unit{});
              });
            },
            on);
      };
      wait(std::move(resume));
    });
  }

  void finish(const PassagePtr& passage, net::HttpResponse& response) {
    if (response.parked()) return hold(passage, response);
    if (!passage->audit) return;
    for (const auto& [key, value] : passage->call.audit_annotations) {
      passage->audit->annotate(key, value);
    }
  }

  static void flow_headers(const Passage& passage, net::HttpResponse& response) {
    if (!passage.ticket) return;
    response.set("X-Kubernetes-PF-FlowSchema-UID", passage.ticket->schema_uid());
    response.set("X-Kubernetes-PF-PriorityLevel-UID", passage.ticket->level_uid());
  }

  api::ApiResult<Unit> perform(const PassagePtr& held, net::HttpResponse& response) {
    Passage& passage = *held;
    Call& call = passage.call;
    if (const auto& ticket = passage.ticket) {
      if (ticket->state() == FlowControl::Ticket::State::kRefused) {
        return Err(api::too_many_requests("Too many requests, please try again later.", 1));
      }
    }
    flow_headers(passage, response);
    Authorization verdict;
    const auto allowed = authorize(server_.hooks(), call, &verdict);
    if (passage.audit) {
      passage.audit->annotate("authorization.k8s.io/decision", allowed ? "allow" : "forbid");
      if (!verdict.reason.empty()) {
        passage.audit->annotate("authorization.k8s.io/reason", verdict.reason);
      }
    }
    if (!allowed) return Err(allowed.error());
    server_.handle(call, response);
    finish(held, response);
    return Unit{};
  }

  ApiServer& server_;
  const HttpHandlerOptions options_;
  RequestCosts costs_;
};

}  // namespace

net::HttpHandler make_http_handler(ApiServer& server, const HttpHandlerOptions& options) {
  auto pipeline = std::make_shared<Pipeline>(server, options);
  return [pipeline](const net::HttpRequest& request, net::HttpResponse& response) {
    pipeline->serve(request, response);
  };
}

net::HttpServerOptions http_options() {
  net::HttpServerOptions options;
  options.waits = request_waits;
  options.error_body = refusal_body;
  return options;
}

net::HttpServerOptions::Waits request_waits(std::string_view method, std::string_view path) {
  using Waits = net::HttpServerOptions::Waits;
  if (method != "GET" && method != "HEAD") {
    constexpr std::string_view kStreams[] = {"/exec", "/attach", "/portforward", "/proxy"};
    const bool streams =
        std::any_of(std::begin(kStreams), std::end(kStreams),
                    [&](std::string_view name) { return path.find(name) != path.npos; });
    if (streams) return Waits::kPeer;
    if (method != "POST") return Waits::kDisk;
  }
  Call call;
  call.info = parse_request(method, path, {});
  if (method == "POST") {
    // Creates are parked; reviews ask whoever knows.
    const bool create = call.info.is_resource && call.info.name.empty();
    const bool review = call.info.group.starts_with("auth");
    return create && !review ? Waits::kNothing : Waits::kDisk;
  }
  if (call.info.group == "metrics.k8s.io") return Waits::kPeer;  // asks the agents
  return call.info.verb != "watch" && long_running(call) ? Waits::kPeer : Waits::kNothing;
}

std::string refusal_body(int status, std::string_view message) {
  switch (status) {
    case 413:
      return api::status_json(api::request_entity_too_large("limit is 3145728"));
    case 503:
      return api::status_json(api::service_unavailable(message));
    default:
      break;
  }
  api::Error error = api::bad_request(message);
  error.code = status;
  if (status >= 500) error.reason = "InternalError";
  return api::status_json(error);
}

}  // namespace orch::server
