// Threads with small stacks: only touched pages cost memory, but the address space and the kernel's
// accounting stay modest with hundreds of them. Private to net/http.
#pragma once

#include <pthread.h>

#include <functional>

namespace orch::net {

inline constexpr size_t kSmallStackBytes = 256 * 1024;
inline constexpr size_t kHandlerStackBytes = 1024 * 1024;  // handlers walk nested documents

// False = the system has no more. The signal mask is the caller's.
bool start_thread(const char* name, size_t stack_bytes, std::function<void()> run,
                  pthread_t& thread);
bool start_detached_thread(const char* name, size_t stack_bytes, std::function<void()> run);

}  // namespace orch::net
