// A limit for the bytes below a directory: project quota of ext4 (feature "project", mounted with
// prjquota) and XFS (mounted with prjquota). Elsewhere there is none.
#pragma once

#include <cstdint>
#include <string>

namespace orch::agent {

// Limits what the (empty, or already limited) directory may hold. False: the file system does not
// do that, the directory is without limit. name: of the directory, from which its number is made.
bool limit_directory(int directory, const std::string& name, uint64_t bytes);
// The limit goes; before the directory is removed. Its number, for the second step, or 0.
uint32_t project_of(int directory);
void release_project(int any_of_file_system, uint32_t project);

}  // namespace orch::agent
