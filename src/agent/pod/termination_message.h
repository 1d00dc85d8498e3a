// What an ended container left to say: its termination message file, or the end of its log.
#pragma once

#include <string>

#include "agent/runtime.h"

namespace orch::agent {

// <pod dir>/containers/<name>/<attempt>: bound to terminationMessagePath.
std::string termination_file(const std::string& pod_dir, const std::string& container,
                             uint32_t restart_count);
// At most 4096 bytes of the file; with policy FallbackToLogsOnError and a failed exit without a
// message, the last 80 lines (2048 bytes) of the log.
std::string read_termination_message(const ContainerView& container, const std::string& pod_dir);

// The text of CRI log lines ("TIME stdout F text"), partial lines joined.
std::string plain_log_text(std::string_view cri_log);

}  // namespace orch::agent
