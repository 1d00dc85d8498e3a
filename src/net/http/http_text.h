// Small HTTP text helpers shared by server and client. Private to net/http.
#pragma once

#include <string>
#include <string_view>

#include "orch/net/http.h"

namespace orch::net {

std::string_view status_text(int status);  // "Not Found"; "" if unknown
bool is_token(std::string_view text);      // RFC 9110 5.6.2, not empty
// Percent-decodes; nullopt-like: false on a broken escape.
bool percent_decode(std::string_view text, bool plus_is_space, std::string& out);
std::string http_date_now();  // IMF-fixdate

}  // namespace orch::net
