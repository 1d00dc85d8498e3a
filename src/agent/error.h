// The agent's error: one code per way a caller reacts, the rest is text for people.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "orch/base/result.h"

namespace orch::agent {

struct Error {
  enum class Code : uint8_t {
    kUnavailable,    // the runtime does not answer: try again, node not ready
    kNotFound,       // the container, sandbox or image is not there: as good as stopped or removed
    kAlreadyExists,  // the name is taken by a leftover: clean it up and try again
    kTimeout,        // deadline passed; the work may still go on
    kImageMissing,   // no such image, or the registry refused
    kConfig,         // the pod asks for what cannot be: CreateContainerConfigError
    kInternal,       // all else; retried with back-off
  };
  Code code = Code::kInternal;
  std::string message;
};

// Called exactly once, on a thread of the callee; it must not block.
template <class T>
using Done = std::function<void(Result<T, Error>)>;

}  // namespace orch::agent
