#include "server/bootstrap_roles.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/auth/default_roles.h"
#include "server/auth/rbac.h"

namespace orch::server {
namespace {

using namespace api;
using Outcome = Result<Unit, std::string>;

constexpr const char* kAutoUpdate = "rbac.authorization.kubernetes.io/autoupdate";

bool is_kept_up(const metav1::ObjectMeta& meta) {
  auto it = meta.annotations.find(kAutoUpdate);
  return it != meta.annotations.end() && it->second == "true";
}

template <class T>
void add_labels(T& to, const T& from) {
  to.metadata.labels.insert(from.metadata.labels.begin(), from.metadata.labels.end());
}

template <class Role>
void complete_role(Role& to, const Role& from) {
  add_labels(to, from);
  if constexpr (requires { to.aggregationRule; }) {
    if (from.aggregationRule) {
      to.aggregationRule = from.aggregationRule;
      return;  // the controller keeps its rules
    }
  }
  for (auto& missing : uncovered(to.rules, from.rules)) to.rules.push_back(std::move(missing));
}

template <class Binding>
void complete_binding(Binding& to, const Binding& from) {
  add_labels(to, from);
  for (const auto& subject : from.subjects) {
    const bool there = std::any_of(to.subjects.begin(), to.subjects.end(),
                                   [&](const auto& held) { return equal(held, subject); });
    if (!there) to.subjects.push_back(subject);
  }
}

template <class T>
Outcome failed(std::string_view what, const T& object, const Error& error) {
  return Err(
      fmt::format("{} {} {}: {}", what, T::type_info().kind, object.metadata.name, error.message));
}

template <class T>
Outcome reconcile_one(const client::Client& client, const T& wanted,
                      void (*complete)(T&, const T&)) {
  auto existing = client.get<T>(wanted.metadata.namespace_, wanted.metadata.name);
  // What a role refers to cannot be changed: a default binding to another role is made anew.
  if constexpr (requires { wanted.roleRef; }) {
    if (existing && is_kept_up(existing->metadata) && !equal(existing->roleRef, wanted.roleRef)) {
      auto removed = client.remove<T>(wanted.metadata.namespace_, wanted.metadata.name);
      if (!removed) return failed("replacing", wanted, removed.error());
      existing = Err(not_found({}, wanted.metadata.name));
    }
  }
  if (!existing) {
    auto created = client.create(wanted);
    if (created || created.error().is("AlreadyExists")) return Unit{};
    return failed("creating", wanted, created.error());
  }
  if (!is_kept_up(existing->metadata)) return Unit{};
  T changed = *existing;
  complete(changed, wanted);
  if (equal(changed, *existing)) return Unit{};
  auto updated = client.update(changed);
  if (updated || updated.error().is("Conflict")) return Unit{};
  return failed("updating", wanted, updated.error());
}

// One kind: all that are wanted, in order.
template <class T>
Outcome reconcile_all(const client::Client& client, const std::vector<T>& wanted,
                      void (*complete)(T&, const T&)) {
  for (const T& object : wanted) ORCH_CHECK(reconcile_one(client, object, complete));
  return Unit{};
}

}  // namespace

Outcome reconcile_bootstrap_roles(const client::Client& client) {
  ORCH_CHECK(reconcile_all(client, bootstrap_roles(), complete_role));
  ORCH_CHECK(reconcile_all(client, bootstrap_role_bindings(), complete_binding));
  ORCH_CHECK(reconcile_all(client, bootstrap_namespace_roles(), complete_role));
  return reconcile_all(client, bootstrap_namespace_role_bindings(), complete_binding);
}

}  // namespace orch::server
