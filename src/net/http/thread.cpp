#include "net/http/thread.h"

#include <memory>

namespace orch::net {
namespace {

// Sanitizers' frames are several times as large.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kStackFactor = 8;
#else
constexpr size_t kStackFactor = 1;
#endif

struct Start {
  const char* name;
  std::function<void()> run;
};

void* enter(void* argument) {
  std::unique_ptr<Start> start(static_cast<Start*>(argument));
  pthread_setname_np(pthread_self(), start->name);
  start->run();
  return nullptr;
}

bool create(const char* name, size_t stack_bytes, std::function<void()> run, bool detached,
            pthread_t& thread) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, stack_bytes * kStackFactor);
  if (detached) pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  auto start = std::make_unique<Start>(Start{name, std::move(run)});
  bool ok = pthread_create(&thread, &attributes, enter, start.get()) == 0;
  if (ok) start.release();
  pthread_attr_destroy(&attributes);
  return ok;
}

}  // namespace

bool start_thread(const char* name, size_t stack_bytes, std::function<void()> run,
                  pthread_t& thread) {
  return create(name, stack_bytes, std::move(run), false, thread);
}

bool start_detached_thread(const char* name, size_t stack_bytes, std::function<void()> run) {
  pthread_t thread;
  return create(name, stack_bytes, std::move(run), true, thread);
}

}  // namespace orch::net
