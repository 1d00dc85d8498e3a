// Registry::list: pages, consistent snapshots, resourceVersion semantics (KEP-365, KEP-2340).
#include <fmt/format.h>

#include <algorithm>

#include "orch/base/log.h"
#include "server/registry/continue_token.h"
#include "server/registry/registry.h"
#include "server/registry/storage_form.h"

namespace orch::server {
namespace {

using storage::Revision;

constexpr const char* kContinueTooOld =
    "The provided continue parameter is too old to display a consistent list result. You can start "
    "a new list without the continue parameter, or use the continue token in this response to "
    "retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list.";

// Where a list reads: keys and the snapshot.
struct Cursor {
  std::string prefix, start, end;
  Revision at = 0;       // 0 = newest
  Revision minimum = 0;  // 504 below it
  bool continued = false;
};

api::ApiResult<Cursor> make_cursor(std::string prefix, const ListParams& params) {
  Cursor cursor;
  cursor.prefix = std::move(prefix);
  cursor.start = cursor.prefix;
  cursor.end = storage::prefix_end(cursor.prefix);
  if (!params.continue_.empty()) {
    if (!params.resource_version.empty() && params.resource_version != "0") {
      return Err(
          api::bad_request("specifying resource version is not allowed when using continue"));
    }
    auto token = decode_continue(params.continue_);
    if (!token) return Err(api::bad_request("invalid continue token: " + token.error()));
    cursor.start = cursor.prefix + token->start;
    cursor.at = std::max<Revision>(token->revision, 0);
    cursor.continued = true;
    return cursor;
  }
  ORCH_TRY(const Revision asked, parse_resource_version(params.resource_version));
  if (asked == 0) return cursor;
  // Legacy: a limit with a resourceVersion means exactly that one.
  const bool exact = params.resource_version_match == "Exact" ||
                     (params.resource_version_match.empty() && params.limit > 0);
  (exact ? cursor.at : cursor.minimum) = asked;
  return cursor;
}

ListError compacted(const Cursor& cursor) {
  if (!cursor.continued) {
    return api::expired("The resourceVersion for the provided list is too old.");
  }
  return ListError(api::expired(kContinueTooOld),
                   encode_continue({-1, cursor.start.substr(cursor.prefix.size())}));
}

// Selectors that name one object read one key.
bool narrow_to_name(const api::ResourceInfo& resource, std::string_view ns,
                    const ListParams& params, Cursor& cursor) {
  const auto name = params.filter.name();
  if (!name || name->empty() || cursor.continued) return false;
  if (resource.namespaced && ns.empty()) return false;
  cursor.start = cursor.prefix + *name;
  cursor.end.clear();
  return true;
}

}  // namespace

Result<Page, ListError> Registry::list(const api::ResourceInfo& resource, std::string_view ns,
                                       const ListParams& params) {
  auto made = make_cursor(prefix(resource, ns), params);
  if (!made) return Err(ListError(made.error()));
  Cursor& cursor = *made;
  narrow_to_name(resource, ns, params, cursor);
  const bool filtered = !params.filter.empty();
  // "Any version will do" is answered whole, as upstream's cache does.
  const bool any = params.resource_version == "0" && !cursor.continued;
  const auto limit = any ? 0 : static_cast<size_t>(std::max<int64_t>(params.limit, 0));
  // With selectors a page may need several reads; they grow so that few are needed.
  int64_t chunk = static_cast<int64_t>(limit);
  Page page;
  while (true) {
    storage::RangeRequest request;
    request.key = cursor.start;
    request.range_end = cursor.end;
    request.limit = chunk;
    request.revision = cursor.at;
    auto answer = store_.range(request);
    if (!answer) {
      if (answer.error().code == storage::ErrorCode::kCompacted) return Err(compacted(cursor));
      if (answer.error().code == storage::ErrorCode::kFutureRev) {
        return Err(ListError(too_large_resource_version(cursor.at, store_.revision())));
      }
      return Err(ListError(to_api_error(answer.error())));
    }
    if (cursor.minimum > answer->revision) {
      return Err(ListError(too_large_resource_version(cursor.minimum, answer->revision)));
    }
    if (cursor.at == 0) cursor.at = answer->revision;  // all chunks of one snapshot
    page.revision = cursor.at;
    page.items.reserve(page.items.size() + (filtered ? 0 : answer->kvs.size()));
    size_t used = 0;
    for (auto& kv : answer->kvs) {
      if (limit > 0 && page.items.size() == limit) break;
      ++used;
      Stored stored(kv.value, kv.mod_revision);
      if (!stored.well_formed()) {
        log::error("registry", "skipping the damaged value of {}", *kv.key);
        continue;
      }
      stored = from_store(resource, std::move(stored));
      if (!filtered || params.filter.matches(stored)) page.items.push_back(std::move(stored));
    }
    const bool rest = used < answer->kvs.size() || answer->more;
    if (!rest) return page;
    cursor.start = *answer->kvs[used - 1].key + '\0';
    if (limit > 0 && page.items.size() == limit) {
      page.continue_ = encode_continue({page.revision, cursor.start.substr(cursor.prefix.size())});
      if (!filtered) page.remaining = answer->count - static_cast<int64_t>(used);
      return page;
    }
    chunk = std::min<int64_t>(chunk * 2, 10'000);
  }
}

}  // namespace orch::server
