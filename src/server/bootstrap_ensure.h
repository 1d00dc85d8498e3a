// How the bootstrap brings objects about. Errors are sentences.
#pragma once

#include <fmt/format.h>

#include <string>

#include "orch/client/client.h"

namespace orch::server {

using BootstrapOutcome = Result<Unit, std::string>;

// Creates the object unless one of its name is there.
template <class T>
BootstrapOutcome ensure(const client::Client& client, const T& object) {
  auto existing = client.get<T>(object.metadata.namespace_, object.metadata.name);
  if (existing) return Unit{};
  auto created = client.create(object);
  if (created || created.error().is("AlreadyExists")) return Unit{};
  return Err(fmt::format("creating {} {}: {}", T::type_info().kind, object.metadata.name,
                         created.error().message));
}

// Creates the object, or makes the existing one's content as wanted (`adopt` copies it over).
template <class T, class Adopt>
BootstrapOutcome reconcile(const client::Client& client, const T& wanted, const Adopt& adopt) {
  auto existing = client.get<T>(wanted.metadata.namespace_, wanted.metadata.name);
  if (!existing) return ensure(client, wanted);
  T changed = *existing;
  adopt(changed, wanted);
  if (equal(changed, *existing)) return Unit{};
  auto updated = client.update(changed);
  if (updated || updated.error().is("Conflict")) return Unit{};
  return Err(fmt::format("updating {} {}: {}", T::type_info().kind, wanted.metadata.name,
                         updated.error().message));
}

}  // namespace orch::server
