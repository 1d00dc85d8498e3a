#include "server/etcd/convert.h"

#include <algorithm>
#include <set>

namespace orch::server::etcd {

namespace {

using storage::Op;

bool filtered(const RangeRequest& r) {
  return r.min_mod_revision != 0 || r.max_mod_revision != 0 || r.min_create_revision != 0 ||
         r.max_create_revision != 0;
}

// Descending by key, or by something else: the store's order does not help.
bool reordered(const RangeRequest& r) { return r.sort_order == 2 || r.sort_target != 0; }

Checked<Unit> check_ops(const std::vector<RequestOp>& ops, size_t allowed);

Checked<Unit> check_txn(const TxnRequest& request, size_t allowed) {
  const size_t ops =
      std::max({request.compare.size(), request.success.size(), request.failure.size()});
  if (ops > allowed) return Err(errors::too_many_ops());
  for (const Compare& compare : request.compare) {
    if (compare.key.empty()) return Err(errors::empty_key());
    if (compare.result < 0 || compare.result > 3 || compare.target < 0 || compare.target > 4) {
      return Err(errors::make(GrpcCode::kInvalidArgument, "invalid compare"));
    }
  }
  ORCH_CHECK(check_ops(request.success, allowed - ops));
  return check_ops(request.failure, allowed - ops);
}

Checked<Unit> check_ops(const std::vector<RequestOp>& ops, size_t allowed) {
  for (const RequestOp& op : ops) {
    if (op.has_range) {
      ORCH_CHECK(to_store(op.range));
    } else if (op.has_put) {
      ORCH_CHECK(to_store(op.put));
    } else if (op.has_delete) {
      ORCH_CHECK(to_store(op.delete_range));
    } else if (op.txn) {
      ORCH_CHECK(check_txn(*op.txn, allowed));
    } else {
      return Err(errors::key_not_found());
    }
  }
  return Unit{};
}

// Keys put and ranges deleted by a branch and all that is nested in it.
struct Writes {
  std::set<std::string> puts;
  std::vector<std::pair<std::string, std::string>> deletes;

  bool deletes_key(const std::string& key) const {
    return std::any_of(deletes.begin(), deletes.end(), [&](const auto& range) {
      if (range.second.empty()) return key == range.first;
      const bool open = range.second == std::string(1, '\0');
      return key >= range.first && (open || key < range.second);
    });
  }
};

// No key may be written twice in one revision; two branches that exclude each other may overlap.
Checked<Writes> collect_writes(const std::vector<RequestOp>& ops) {
  Writes all;
  for (const RequestOp& op : ops) {
    if (op.has_delete) all.deletes.emplace_back(op.delete_range.key, op.delete_range.range_end);
  }
  for (const RequestOp& op : ops) {
    if (op.has_range || op.has_put || op.has_delete || !op.txn) continue;
    ORCH_TRY(Writes then, collect_writes(op.txn->success));
    ORCH_TRY(Writes otherwise, collect_writes(op.txn->failure));
    for (const std::string& key : then.puts) {
      if (all.deletes_key(key) || !all.puts.insert(key).second) return Err(errors::duplicate_key());
    }
    for (const std::string& key : otherwise.puts) {
      if (all.deletes_key(key)) return Err(errors::duplicate_key());
      if (!all.puts.insert(key).second && !then.puts.contains(key)) {
        return Err(errors::duplicate_key());
      }
    }
    for (Writes* branch : {&then, &otherwise}) {
      std::move(branch->deletes.begin(), branch->deletes.end(), std::back_inserter(all.deletes));
    }
  }
  for (const RequestOp& op : ops) {
    if (!op.has_put || op.has_range) continue;
    if (all.deletes_key(op.put.key) || !all.puts.insert(op.put.key).second) {
      return Err(errors::duplicate_key());
    }
  }
  return all;
}

storage::Compare convert(const Compare& compare) {
  using Target = storage::Compare::Target;
  storage::Compare out;
  out.key = compare.key;
  out.range_end = compare.range_end;
  static constexpr storage::Compare::Op kOps[] = {
      storage::Compare::Op::kEqual, storage::Compare::Op::kGreater, storage::Compare::Op::kLess,
      storage::Compare::Op::kNotEqual};
  static constexpr Target kTargets[] = {Target::kVersion, Target::kCreate, Target::kMod,
                                        Target::kValue, Target::kLease};
  out.op = kOps[compare.result];
  out.target = kTargets[compare.target];
  const int64_t numbers[] = {compare.version, compare.create_revision, compare.mod_revision, 0,
                             compare.lease};
  out.number = numbers[compare.target];
  out.value = compare.value;
  return out;
}

// All is checked.
storage::TxnRequest convert(const TxnRequest& request);

std::vector<Op> convert(const std::vector<RequestOp>& ops) {
  std::vector<Op> out;
  out.reserve(ops.size());
  for (const RequestOp& op : ops) {
    if (op.has_range) {
      out.push_back(Op::get(to_store(op.range).value()));
    } else if (op.has_put) {
      out.push_back(to_store(op.put).value());
    } else if (op.has_delete) {
      out.push_back(to_store(op.delete_range).value());
    } else {
      Op nested;
      nested.type = Op::Type::kTxn;
      nested.nested = std::make_shared<const storage::TxnRequest>(convert(*op.txn));
      out.push_back(std::move(nested));
    }
  }
  return out;
}

storage::TxnRequest convert(const TxnRequest& request) {
  storage::TxnRequest out;
  for (const Compare& compare : request.compare) out.compares.push_back(convert(compare));
  out.success = convert(request.success);
  out.failure = convert(request.failure);
  return out;
}

template <class T>
int compare_values(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

int compare_by(int64_t target, const KeyValue& a, const KeyValue& b) {
  switch (target) {
    case 1:
      return compare_values(a.version, b.version);
    case 2:
      return compare_values(a.create_revision, b.create_revision);
    case 3:
      return compare_values(a.mod_revision, b.mod_revision);
    case 4:
      return compare_values(*a.value, *b.value);
    default:
      return compare_values(*a.key, *b.key);
  }
}

// Takes the results of one (nested) transaction off `next`.
TxnResponse assemble(const TxnRequest& request, bool succeeded,
                     std::vector<storage::OpResult>& results, size_t& next,
                     const ResponseHeader& header) {
  TxnResponse response;
  response.header = header;
  response.succeeded = succeeded;
  for (const RequestOp& op : succeeded ? request.success : request.failure) {
    if (next >= results.size()) break;
    storage::OpResult& result = results[next++];
    ResponseOp& out = response.responses.emplace_back();
    const ResponseHeader inner{0, 0, header.revision, 0};
    switch (result.type) {
      case Op::Type::kRange:
        out.has_range = true;
        out.range = finish_range(op.range, std::move(result.range));
        out.range.header = inner;
        break;
      case Op::Type::kPut:
        out.has_put = true;
        out.put = finish_put(std::move(result));
        out.put.header = inner;
        break;
      case Op::Type::kDelete:
        out.has_delete = true;
        out.delete_range = finish_delete(std::move(result));
        out.delete_range.header = inner;
        break;
      case Op::Type::kTxn:
        out.txn = std::make_shared<TxnResponse>(
            assemble(*op.txn, result.succeeded, results, next, inner));
        break;
    }
  }
  return response;
}

}  // namespace

Checked<storage::RangeRequest> to_store(const RangeRequest& request) {
  if (request.key.empty()) return Err(errors::empty_key());
  if (request.sort_order < 0 || request.sort_order > 2 || request.sort_target < 0 ||
      request.sort_target > 4) {
    return Err(errors::invalid_sort());
  }
  storage::RangeRequest out;
  out.key = request.key;
  out.range_end = request.range_end;
  out.revision = std::max<int64_t>(0, request.revision);
  out.count_only = request.count_only;
  out.keys_only = request.keys_only && request.sort_target != 4;
  const bool all = filtered(request) || reordered(request);
  out.limit = all ? 0 : std::max<int64_t>(0, request.limit);
  return out;
}

RangeResponse finish_range(const RangeRequest& request, storage::RangeResponse answer) {
  RangeResponse response;
  response.count = answer.count;
  response.more = answer.more;
  response.kvs = std::move(answer.kvs);
  const auto keep = [&](int64_t least, int64_t most, int64_t KeyValue::*of) {
    if (least == 0 && most == 0) return;
    std::erase_if(response.kvs, [&](const KeyValue& kv) {
      return (most != 0 && kv.*of > most) || (least != 0 && kv.*of < least);
    });
  };
  keep(request.min_mod_revision, request.max_mod_revision, &KeyValue::mod_revision);
  keep(request.min_create_revision, request.max_create_revision, &KeyValue::create_revision);
  if (reordered(request)) {
    const bool descending = request.sort_order == 2;
    std::stable_sort(response.kvs.begin(), response.kvs.end(),
                     [&](const KeyValue& a, const KeyValue& b) {
                       const int order = compare_by(request.sort_target, a, b);
                       return descending ? order > 0 : order < 0;
                     });
  }
  if (request.limit > 0 && response.kvs.size() > static_cast<size_t>(request.limit)) {
    response.kvs.resize(static_cast<size_t>(request.limit));
    response.more = true;
  }
  if (request.keys_only) {
    for (KeyValue& kv : response.kvs) kv.value = nullptr;
  }
  return response;
}

Checked<Op> to_store(const PutRequest& request) {
  if (request.key.empty()) return Err(errors::empty_key());
  if (request.ignore_value && request.value && !request.value->empty()) {
    return Err(errors::value_provided());
  }
  if (request.ignore_lease && request.lease != 0) return Err(errors::lease_provided());
  Op op = Op::put(request.key, request.value, request.lease);
  op.prev_kv = request.prev_kv;
  op.ignore_value = request.ignore_value;
  op.ignore_lease = request.ignore_lease;
  return op;
}

Checked<Op> to_store(const DeleteRangeRequest& request) {
  if (request.key.empty()) return Err(errors::empty_key());
  Op op = Op::erase(request.key, request.range_end);
  op.prev_kv = request.prev_kv;
  return op;
}

Checked<storage::TxnRequest> to_store(const TxnRequest& request) {
  ORCH_CHECK(check_txn(request, kTxnOpsMax));
  ORCH_CHECK(collect_writes(request.success));
  ORCH_CHECK(collect_writes(request.failure));
  return convert(request);
}

PutResponse finish_put(storage::OpResult result) {
  PutResponse response;
  response.has_prev_kv = !result.prev_kvs.empty();
  if (response.has_prev_kv) response.prev_kv = std::move(result.prev_kvs.front());
  return response;
}

DeleteRangeResponse finish_delete(storage::OpResult result) {
  DeleteRangeResponse response;
  response.deleted = result.deleted;
  response.prev_kvs = std::move(result.prev_kvs);
  return response;
}

TxnResponse finish_txn(const TxnRequest& request, storage::TxnResponse answer,
                       const ResponseHeader& header) {
  size_t next = 0;
  return assemble(request, answer.succeeded, answer.results, next, header);
}

}  // namespace orch::server::etcd
