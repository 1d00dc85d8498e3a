// Work on whole directory trees that containers may change while we look: nothing outside of the
// tree is ever touched. Every step is opened below a descriptor of ours, never through a symbolic
// link, and what is changed is the opened file itself.
#pragma once

#include <sys/types.h>

#include <string>

#include "agent/error.h"

namespace orch::agent {

// Opens root/path, refusing links, "..", and, if told, mounts on the way. -1 and errno on failure.
int open_in_tree(int root, const std::string& path, int flags, bool cross_mounts);

// Removes `name`, a file or a tree, from the folder `parent`. What is not there is fine. Error: a
// part is a mount point, or cannot be removed; the rest may be gone.
Result<Unit, Error> remove_tree(int parent, const std::string& name);

// Gives the tree to the group: lchown, `bits` added to the modes, and for folders setgid and
// search. Links themselves change their group only.
Result<Unit, Error> give_tree_to_group(const std::string& path, gid_t gid, mode_t bits);

}  // namespace orch::agent
