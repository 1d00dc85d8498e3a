#include "storage/txn.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "storage/errors.h"
#include "storage/mutants.h"

namespace orch::storage {

namespace {

Error invalid(std::string message) { return Error{ErrorCode::kInvalid, std::move(message)}; }

constexpr int kNestingMax = 32;

StoreResult<Unit> validate_nested(const Op& op, int depth, int64_t& bytes);

StoreResult<Unit> validate_ops(const std::vector<Op>& ops, int depth, int64_t& bytes) {
  std::vector<std::string_view> puts;
  for (const Op& op : ops) {
    if (op.type == Op::Type::kTxn) {
      ORCH_CHECK(validate_nested(op, depth, bytes));
      continue;
    }
    if (op.type != Op::Type::kPut) {
      if (op.range.key.empty()) return Err(invalid("key is not provided"));
      continue;
    }
    if (op.key.empty()) return Err(invalid("key is not provided"));
    if (op.ignore_value && op.value && !op.value->empty()) {
      return Err(invalid("value is provided together with ignore_value"));
    }
    if (op.ignore_lease && op.lease != 0) {
      return Err(invalid("lease is provided together with ignore_lease"));
    }
    bytes += static_cast<int64_t>(op.key.size() + (op.value ? op.value->size() : 0));
    puts.push_back(op.key);
  }
  std::sort(puts.begin(), puts.end());
  if (std::adjacent_find(puts.begin(), puts.end()) != puts.end()) {
    return Err(invalid("duplicate key given in txn request"));
  }
  for (const Op& op : ops) {
    if (op.type != Op::Type::kDelete) continue;
    const KeyRange range{op.range.key, op.range.range_end};
    const auto first = std::lower_bound(puts.begin(), puts.end(), range.begin);
    if (first != puts.end() && range.before_end(*first)) {
      return Err(invalid("duplicate key given in txn request"));
    }
  }
  if (ops.size() > static_cast<size_t>(kPlaceMax)) return Err(invalid("too many operations"));
  return Unit{};
}

StoreResult<Unit> validate_branches(const TxnRequest& request, int depth, int64_t& bytes) {
  int64_t success = 0, failure = 0;
  for (const Compare& compare : request.compares) {
    if (compare.key.empty()) return Err(invalid("key is not provided"));
  }
  ORCH_CHECK(validate_ops(request.success, depth, success));
  ORCH_CHECK(validate_ops(request.failure, depth, failure));
  bytes += std::max(success, failure);
  return Unit{};
}

StoreResult<Unit> validate_nested(const Op& op, int depth, int64_t& bytes) {
  if (!op.nested) return Err(invalid("key is not provided"));
  if (depth >= kNestingMax) return Err(invalid("transactions are nested too deeply"));
  return validate_branches(*op.nested, depth + 1, bytes);
}

const Version* alive_at(const Mvcc& mvcc, std::string_view key, Revision at) {
  const Item* item = mvcc.table().find(key);
  return item ? item->at(at) : nullptr;
}

bool compares_hold(const TxnRequest& request, const Mvcc& mvcc, Revision at) {
  return std::all_of(request.compares.begin(), request.compares.end(),
                     [&](const Compare& c) { return mvcc.holds(c, at); });
}

// What a transaction will do, in order, those nested in it included.
struct Step {
  const Op* op = nullptr;
  bool succeeded = false;  // kTxn
};

void decide(const TxnRequest& request, bool succeeded, const Mvcc& mvcc, Revision at,
            std::vector<Step>& steps) {
  for (const Op& op : succeeded ? request.success : request.failure) {
    const bool nested = op.type == Op::Type::kTxn;
    const bool holds = nested && compares_hold(*op.nested, mvcc, at);
    steps.push_back({&op, holds});
    if (nested) decide(*op.nested, holds, mvcc, at, steps);
  }
}

// What would make the operations fail half-way, found before the first is applied.
StoreResult<Unit> check_ops(const std::vector<Step>& steps, const Mvcc& mvcc,
                            const LeaseTable& leases, Revision tip, const FloorOf& floor_of) {
  auto changes = static_cast<int64_t>(steps.size());
  std::set<std::string_view> puts;  // of nested ones, too: each key once in a revision
  for (const Step& step : steps) {
    const Op& op = *step.op;
    if (op.type == Op::Type::kDelete && !op.range.range_end.empty()) {
      changes += mvcc.table().count(KeyRange{op.range.key, op.range.range_end}, tip);
      if (changes > kPlaceMax) return Err(invalid("too many keys to delete in one transaction"));
    } else if (op.type == Op::Type::kRange) {
      const Revision asked = op.range.revision;
      if (asked > tip) return Err(future_error(asked, tip));
      const Revision floor = floor_of(KeyRange{op.range.key, op.range.range_end});
      if (asked > 0 && asked < floor) return Err(compacted_error(asked, floor));
    } else if (op.type == Op::Type::kPut) {
      if (steps.size() > 1 && !puts.insert(op.key).second)
        return Err(invalid("duplicate key given in txn request"));
      if (op.lease != 0 && !leases.find(op.lease)) return Err(lease_not_found(op.lease));
      if ((op.ignore_value || op.ignore_lease) && !alive_at(mvcc, op.key, tip)) {
        return Err(invalid(fmt::format("key not found: {}", op.key)));
      }
    }
  }
  return Unit{};
}

class Runner {
 public:
  Runner(Mvcc& mvcc, LeaseTable& leases, Batch& batch)
      : mvcc_(mvcc), leases_(leases), batch_(batch), revision_(batch.tip + 1) {}

  // The revision that the transaction's own reads look at.
  Revision newest() const { return batch_.tip; }

  OpResult put(const Op& op) {
    OpResult result;
    result.type = Op::Type::kPut;
    const Item* item = mvcc_.table().find(op.key);
    const Version* old = item ? item->at(newest()) : nullptr;
    if (op.prev_kv && old) result.prev_kvs.push_back(to_key_value(item->key, *old));
    Version version;
    version.create = old ? old->create : revision_;
    version.version = old ? old->version + 1 : 1;
    version.lease = op.ignore_lease ? old->lease : op.lease;
    if (op.ignore_value) {
      version.value = old->value;
    } else {
      static const Bytes kEmpty = std::make_shared<const std::string>();
      version.value = op.value ? op.value : kEmpty;
    }
    const LeaseId before = old ? old->lease : 0;
    change(item ? item->key : std::make_shared<const std::string>(op.key), before,
           std::move(version));
    return result;
  }

  OpResult erase(const Op& op) {
    OpResult result;
    result.type = Op::Type::kDelete;
    std::vector<KeyValue> doomed;
    mvcc_.table().for_each(KeyRange{op.range.key, op.range.range_end}, [&](const Item& item) {
      if (const Version* version = item.at(newest())) {
        doomed.push_back(to_key_value(item.key, *version));
      }
      return true;
    });
    for (const KeyValue& kv : doomed) change(kv.key, kv.lease, Version{});
    result.deleted = static_cast<int64_t>(doomed.size());
    if (op.prev_kv) result.prev_kvs = std::move(doomed);
    return result;
  }

 private:
  void change(const Bytes& key, LeaseId before, Version version) {
    version.id = make_id(revision_, place_++);
    ORCH_ASSERT(place_ <= kPlaceMax);
    if (before != 0 || version.lease != 0) {
      leases_.move_key(*key, before, version.lease);
      batch_.leases_touched = true;
    }
    mvcc_.apply(batch_, key, std::move(version));
  }

  Mvcc& mvcc_;
  LeaseTable& leases_;
  Batch& batch_;
  const Revision revision_;
  int64_t place_ = 0;
};

OpResult nested_result(const Step& step) {
  OpResult result;
  result.type = Op::Type::kTxn;
  result.succeeded = step.succeeded;
  return result;
}

StoreResult<OpResult> read(const Op& op, const Mvcc& mvcc, Revision newest, const FloorOf& floor_of,
                           size_t index, std::vector<TxnMissing>& missing) {
  OpResult result;
  result.type = Op::Type::kRange;
  std::vector<MissingValue> values;
  const Revision floor = floor_of(KeyRange{op.range.key, op.range.range_end});
  // The floor bounds only reads that name a revision; what is newest can always be read.
  ORCH_TRY(result.range, mvcc.range(op.range, newest, op.range.revision > 0 ? floor : 0, values));
  if (!values.empty()) missing.push_back({index, std::move(values)});
  return result;
}

}  // namespace

StoreResult<Unit> validate(const TxnRequest& request, int64_t bytes_max) {
  int64_t bytes = 0;
  ORCH_CHECK(validate_branches(request, 0, bytes));
  if (bytes > bytes_max) {
    return Err(Error{ErrorCode::kTooLarge,
                     fmt::format("request is too large: {} bytes, limit {}", bytes, bytes_max)});
  }
  return Unit{};
}

bool read_only(const TxnRequest& request) {
  const auto reads = [](const Op& op) {
    return op.type == Op::Type::kRange || (op.type == Op::Type::kTxn && read_only(*op.nested));
  };
  return std::all_of(request.success.begin(), request.success.end(), reads) &&
         std::all_of(request.failure.begin(), request.failure.end(), reads);
}

StoreResult<TxnResponse> run_read_only(const TxnRequest& request, const Mvcc& mvcc, Revision at,
                                       const FloorOf& floor_of, std::vector<TxnMissing>& missing) {
  TxnResponse response;
  response.revision = at;
  response.succeeded = compares_hold(request, mvcc, at);
  std::vector<Step> steps;
  decide(request, response.succeeded, mvcc, at, steps);
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].op->type == Op::Type::kTxn) {
      response.results.push_back(nested_result(steps[i]));
      continue;
    }
    ORCH_TRY(OpResult result, read(*steps[i].op, mvcc, at, floor_of, i, missing));
    response.results.push_back(std::move(result));
  }
  return response;
}

StoreResult<TxnResponse> run_txn(const TxnRequest& request, Mvcc& mvcc, LeaseTable& leases,
                                 Batch& batch, const FloorOf& floor_of,
                                 std::vector<TxnMissing>& missing) {
  TxnResponse response;
  response.succeeded =
      compares_hold(request, mvcc, ORCH_MUTANT("lost update") ? mvcc.published() : batch.tip);
  std::vector<Step> steps;
  decide(request, response.succeeded, mvcc, batch.tip, steps);
  ORCH_CHECK(check_ops(steps, mvcc, leases, batch.tip, floor_of));
  Runner runner(mvcc, leases, batch);
  for (size_t i = 0; i < steps.size(); ++i) {
    const Op& op = *steps[i].op;
    switch (op.type) {
      case Op::Type::kPut:
        response.results.push_back(runner.put(op));
        break;
      case Op::Type::kDelete:
        response.results.push_back(runner.erase(op));
        break;
      case Op::Type::kRange: {
        auto result = read(op, mvcc, runner.newest(), floor_of, i, missing);
        ORCH_ASSERT(result.has_value());  // check_ops() has looked
        response.results.push_back(std::move(result).value());
        break;
      }
      case Op::Type::kTxn:
        response.results.push_back(nested_result(steps[i]));
        break;
    }
  }
  response.revision = batch.tip;
  return response;
}

void erase_keys(const std::vector<std::string>& keys, Mvcc& mvcc, LeaseTable& leases,
                Batch& batch) {
  Runner runner(mvcc, leases, batch);
  for (const std::string& key : keys) (void)runner.erase(Op::erase(key));
}

}  // namespace orch::storage
