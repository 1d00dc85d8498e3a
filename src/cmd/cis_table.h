// The CIS Kubernetes Benchmark (v1.10) point by point: what it is about, how it is looked at here,
// and where orch stands.
#pragma once

#include <span>
#include <string_view>

namespace orch::cmd {

enum class CisWay : unsigned char {
  kNote,        // nothing here that could be looked at: `remark` says why, or how to
  kFile,        // `subject` (below the data dir, or absolute) has no more bits than `value` (octal)
  kTree,        // all files below `subject` whose names end with one of `value`'s endings: 0600
  kOwner,       // `subject` and all below it belong to root
  kFlagLacks,   // the flag `subject` does not have `value` in its list
  kFlagIs,      // the flag `subject` is `value`
  kFlagUnset,   // the flag `subject` is not given
  kPluginOn,    // the admission plugin `subject`, on unless flags say otherwise
  kPluginOff,   // the admission plugin `subject`, which must be switched on
  kApiRefuses,  // the API server answers `subject` 401 or 403 without credentials
  kAgentRefuses,  // the agent answers `subject` 401 or 403 without credentials
  kPortClosed,    // nobody listens on 127.0.0.1:`subject`
  kCertificates,  // certificates below `subject` that `value` endings name are valid now
};

struct CisItem {
  std::string_view number, about;
  CisWay way = CisWay::kNote;
  std::string_view subject, value;
  std::string_view remark;
};

std::span<const CisItem> cis_items();

}  // namespace orch::cmd
