// gzip for large answers (zlib level 1). Private to net/http.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "orch/net/http.h"

namespace orch::net {

// Compresses body and pieces of `response` if the request's Accept-Encoding allows gzip and they
// are more than 128 KiB; sets Content-Encoding then. A failure leaves the response as it was.
void gzip_response(const Headers& request_headers, HttpResponse& response);

}  // namespace orch::net
