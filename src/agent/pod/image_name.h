// The grammar of image names, as the distribution project's references define it:
// [DOMAIN[:PORT]/]PATH[:TAG][@ALGORITHM:HEX]. A pure function.
#pragma once

#include <string>
#include <string_view>

namespace orch::agent {

// "" for a name that a registry could know; else why it is none.
std::string image_name_error(std::string_view name);

}  // namespace orch::agent
