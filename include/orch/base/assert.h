// ORCH_ASSERT: on in every build. For programmer errors only, never for input, peers or the kernel.
#pragma once

namespace orch {

// Prints file, line and expression on stderr and aborts.
[[noreturn]] void assert_failed(const char* file, int line, const char* expression) noexcept;

}  // namespace orch

#define ORCH_ASSERT(cond) \
  (__builtin_expect(!!(cond), 1) ? (void)0 : ::orch::assert_failed(__FILE__, __LINE__, #cond))
