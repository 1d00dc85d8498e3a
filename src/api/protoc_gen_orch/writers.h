// The texts protoc-gen-orch writes, per package: the header with the structs, and .cpp files with
// their special members and tables.
#pragma once

#include <string>
#include <vector>

#include "model.h"

namespace orch::gen {

// gen/orch/api/<alias>.h
std::string header_text(const pb::FileDescriptor* file);
// gen/orch/api/<alias>_<part>.cpp: every `parts`-th message from `part` on. Part 0 has the
// package's list of types.
std::string tables_text(const pb::FileDescriptor* file, int part, int parts);
// gen/orch/api/registry.cpp: the list of all packages.
std::string registry_text(const std::vector<const pb::FileDescriptor*>& files);

}  // namespace orch::gen
