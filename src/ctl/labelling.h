// label and annotate: the same verb on two maps of an object's metadata.
#pragma once

#include <map>
#include <set>

#include "ctl/session.h"

namespace orch::ctl {

struct MapChange {
  std::map<std::string, std::string> set;
  std::set<std::string> removed;
};
// Splits "TYPE NAME key=value key-" into resource arguments and changes. Error: a key both set and
// removed, or no change.
Outcome<MapChange> take_changes(std::vector<std::string>& args, std::string_view what);

// `field`: "labels" or "annotations"; `what`: "label", "annotation"; `done`: "labeled", ...
Outcome<int> change_metadata_map(Session& session, std::string_view field, std::string_view what,
                                 std::string_view done);
std::vector<Flag> labelling_flags();

}  // namespace orch::ctl
