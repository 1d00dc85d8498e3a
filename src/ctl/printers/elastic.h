// Elastic tab stops: tabs in a text become columns, each as wide as its neighbours above and below
// need it (Go's text/tabwriter with the settings of `kubectl describe`).
#pragma once

#include <string>
#include <string_view>

namespace orch::ctl {

std::string elastic(std::string_view text);  // cells padded by 2 spaces

}  // namespace orch::ctl
