#include "server/api/relay.h"

#include <fmt/format.h>

#include <array>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "orch/base/strings.h"
#include "server/api/internals.h"
#include "server/api/node_connector.h"
#include "server/api/subresources/html_links.h"

namespace orch::server {
namespace {

constexpr auto kHeadTimeout = std::chrono::seconds(60);
constexpr auto kStreamPatience = std::chrono::seconds(10);
constexpr size_t kBufferedMax = 1024 * 1024;
constexpr Millis kPeerPatience{30'000};
constexpr Millis kPeerStep{250};
constexpr size_t kErrorBodyMax = 64 * 1024;
constexpr const char* kRedirected =
    "the backend attempted to redirect this request, which is not permitted";

constexpr std::array kHopByHop{"connection",        "keep-alive", "proxy-authenticate",
                               "proxy-connection",  "te",         "trailer",
                               "transfer-encoding", "upgrade",    "content-length"};

bool hop_by_hop(std::string_view name) {
  for (const char* header : kHopByHop) {
    if (iequals(name, header)) return true;
  }
  return false;
}

bool credential(std::string_view name) {
  const std::string lower = to_lower(name);
  return lower == "authorization" || lower == "proxy-authorization" ||
         lower.starts_with("x-remote-") || lower.starts_with("x-forwarded-") ||
         lower.starts_with("impersonate-") || lower == "host" || lower == "expect";
}

// What the backend's thread and the request's share.
struct Transfer {
  std::mutex mutex;
  std::condition_variable changed;
  bool has_head = false, done = false, abandoned = false, collecting = false;
  net::HttpResult head;
  std::string error;      // of the connection
  std::string collected;  // body of a failure
  std::shared_ptr<net::Stream> stream;
  std::optional<HtmlLinks> links;  // the backend's thread's
  std::shared_ptr<net::HttpClient::Cancel> cancel = net::HttpClient::make_cancel();

  // False = the client's side will not come (gone before its headers went out, HEAD).
  bool wait_for_stream(std::unique_lock<std::mutex>& lock) {
    changed.wait_for(lock, kStreamPatience, [this] { return stream != nullptr || abandoned; });
    abandoned = abandoned || stream == nullptr;
    return !abandoned;
  }
  bool deliver(std::string_view bytes) {
    std::shared_ptr<net::Stream> out;
    {
      std::unique_lock lock(mutex);
      if (collecting) {
        collected += bytes.substr(0, kErrorBodyMax - std::min(kErrorBodyMax, collected.size()));
        return true;
      }
      if (!wait_for_stream(lock)) return false;
      out = stream;
    }
    if (!out->write(links ? links->feed(bytes) : std::string(bytes))) return false;
    // In steps, so that a stopping server need not wait for a slow reader.
    for (Millis waited{0}; waited < kPeerPatience; waited += kPeerStep) {
      if (out->wait_below(kBufferedMax, kPeerStep)) return true;
      std::lock_guard lock(mutex);
      if (abandoned) return false;
    }
    return false;
  }
  void finish(const Result<Unit, std::string>& result) {
    std::unique_lock lock(mutex);
    done = true;
    if (!result) error = result.error();
    changed.notify_all();
    if (!has_head || collecting) return;
    if (!wait_for_stream(lock)) return;
    if (links) (void)stream->write(links->finish());
    stream->finish();
  }
};

void copy_headers(const net::Headers& from, net::HttpResponse& response) {
  for (const auto& [name, value] : from) {
    if (!hop_by_hop(name)) response.headers.emplace(name, value);
  }
}

bool has_links(const net::HttpResult& head) {
  return to_lower(net::header(head.headers, "Content-Type")).starts_with("text/html") &&
         net::header(head.headers, "Content-Encoding").empty();
}

bool refused_redirect(const net::HttpResult& head, const RelayRequest& request) {
  return head.status >= 300 && head.status < 400 && !request.on_location;
}

void run(Transfer& transfer, const RelayRequest& request) {
  auto result = request.client->stream(
      request.method, request.target, request.headers, request.body,
      [&](const net::HttpResult& head) {
        std::lock_guard lock(transfer.mutex);
        transfer.head = head;
        transfer.has_head = true;
        if (request.on_link && has_links(head)) transfer.links.emplace(request.on_link);
        transfer.collecting =
            (head.status >= 400 && request.on_error) || refused_redirect(head, request);
        transfer.changed.notify_all();
        return !transfer.abandoned;
      },
      [&](std::string_view bytes) { return transfer.deliver(bytes); }, transfer.cancel);
  transfer.finish(result);
}

}  // namespace

bool wants_upgrade(const Call& call) {
  return call.http != nullptr && net::header_has_token(call.http->headers, "Connection", "upgrade");
}

net::Headers forwardable(const net::HttpRequest& request, bool upgrade) {
  net::Headers out;
  for (const auto& [name, value] : request.headers) {
    if (hop_by_hop(name) || credential(name)) continue;
    // What the client calls hop-by-hop must not carry on.
    if (!upgrade && net::header_has_token(request.headers, "Connection", name)) continue;
    out.emplace(name, value);
  }
  if (upgrade) {
    out.emplace("Connection", "Upgrade");
    out.emplace("Upgrade", std::string(net::header(request.headers, "Upgrade")));
  }
  return out;
}

api::ApiResult<Unit> relay(ApiServer& server, RelayRequest request, net::HttpResponse& response) {
  auto transfer = std::make_shared<Transfer>();
  auto shared = std::make_shared<RelayRequest>(std::move(request));
  const bool running =
      server.internals().streams.run([transfer, shared] { run(*transfer, *shared); },
                                     [transfer] {
                                       transfer->cancel->cancel();
                                       std::lock_guard lock(transfer->mutex);
                                       transfer->abandoned = true;
                                       transfer->changed.notify_all();
                                     });
  if (!running) return Err(api::service_unavailable("apiserver is shutting down"));
  const auto abandon = [&](api::Error error) {
    transfer->abandoned = true;
    transfer->changed.notify_all();
    transfer->cancel->cancel();
    return Err(std::move(error));
  };
  std::unique_lock lock(transfer->mutex);
  const auto ready = [&] {
    return transfer->done || (transfer->has_head && !transfer->collecting);
  };
  if (!transfer->changed.wait_for(lock, kHeadTimeout, ready)) {
    return abandon(api::timeout("the backend did not answer in time", 0));
  }
  if (!transfer->has_head) {
    if (!shared->unreachable.empty()) {
      return abandon(api::service_unavailable(shared->unreachable + transfer->error));
    }
    return abandon(backend_error(shared->on_error ? 500 : 503, transfer->error));
  }
  const int status = transfer->head.status;
  if (refused_redirect(transfer->head, *shared)) return abandon(backend_error(502, kRedirected));
  if (transfer->collecting) return Err(shared->on_error(status, transfer->collected));
  response.status = status;
  copy_headers(transfer->head.headers, response);
  if (!shared->content_type.empty()) response.set("Content-Type", shared->content_type);
  if (const auto at = response.headers.find("Location");
      shared->on_location && at != response.headers.end()) {
    at->second = shared->on_location(at->second);
  }
  response.stream([transfer](std::shared_ptr<net::Stream> stream) {
    {
      std::lock_guard start(transfer->mutex);
      transfer->stream = stream;
      transfer->changed.notify_all();
      if (transfer->abandoned) return stream->finish();
    }
    stream->on_close([transfer] { transfer->cancel->cancel(); });
  });
  return Unit{};
}

api::ApiResult<Unit> relay_upgrade(RelayRequest request, net::HttpResponse& response) {
  auto upgraded = request.client->upgrade(request.method, request.target, request.headers);
  if (!upgraded) {
    return Err(backend_error(500, "error dialing backend: " + upgraded.error()));
  }
  const net::HttpResult& answer = upgraded->answer;
  if (!upgraded->connection) {
    response.set("Connection", "close");
    if (answer.status >= 300 && answer.status < 400) return Err(backend_error(502, kRedirected));
    if (answer.status < 400) {
      return Err(backend_error(
          500, fmt::format("unable to upgrade connection: backend answered {}", answer.status)));
    }
    response.status = answer.status;
    copy_headers(answer.headers, response);
    response.set("Connection", "close");
    response.body = answer.body;
    return Unit{};
  }
  response.status = 101;
  copy_headers(answer.headers, response);
  response.set("Connection", "Upgrade");
  response.set("Upgrade", std::string(net::header(answer.headers, "Upgrade")));
  std::shared_ptr<net::RawConnection> backend = std::move(upgraded->connection);
  response.upgrade(
      [backend](std::unique_ptr<net::RawConnection> client) { net::pump(*client, *backend); });
  return Unit{};
}

}  // namespace orch::server
