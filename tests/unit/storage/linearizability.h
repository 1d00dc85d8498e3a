// Whether a history of operations can be explained by a store that does them one after another,
// each at some moment between its call and its answer (Wing & Gong's search, with the memory of
// states seen that Lowe added). The model is etcd's: a revision for each change, compare-and-swap
// by mod revision, answers that tell the revision. Unlike check_history() it believes no watch.
#pragma once

#include <string>
#include <vector>

#include "unit/storage/history.h"

namespace orch::storage::test {

struct Verdict {
  bool linearizable = false;
  bool decided = true;   // false: given up after too many states
  std::string stuck_at;  // the operation that nothing explains
};
// Lost operations may have happened at any later moment, or not at all; failed ones did not.
// `first_revision` -1: answers do not tell the store's revision, only writes their key's.
Verdict check_linearizable(const std::vector<OpRecord>& ops, Revision first_revision = 1);

}  // namespace orch::storage::test
