// How cluster-info is signed. Pure.
#pragma once

#include <string>
#include <string_view>

namespace orch::server {

// RFC 7515 appendix F: "header..signature", the content left out; HS256 with the token's secret.
std::string detached_jws(std::string_view content, const std::string& id,
                         const std::string& secret);

}  // namespace orch::server
