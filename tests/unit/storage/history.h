// Checks what concurrent clients saw of a store against the history that a watch reports.
//
// Every answer carries the store's revision, so the linearisation is claimed, not searched for:
// writes at their revision, reads and refused writes right after the revision they name. check()
// holds that claim against real time and replays it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "orch/storage/kv_store.h"

namespace orch::storage::test {

struct OpRecord {
  enum class Type : uint8_t { kGet, kPut, kCas, kErase };
  // kLost: an error that leaves open whether it was done.
  enum class Outcome : uint8_t { kOk, kRefused, kFailed, kLost };
  int client = 0;
  Type type = Type::kGet;
  Outcome outcome = Outcome::kOk;
  int64_t called = 0, returned = 0;  // ns
  std::string key;
  std::string value;      // written (unique); or read, "" = none
  Revision expected = 0;  // kCas: the mod revision it demanded
  Revision revision = 0;  // of the answer
  bool changed = false;   // kErase: there was something to delete
};

// One line for each violation; empty when the history is linearisable and equals `events`, all
// events of the store from revision 2 on.
std::vector<std::string> check_history(const std::vector<OpRecord>& ops,
                                       const std::vector<Event>& events);

}  // namespace orch::storage::test
