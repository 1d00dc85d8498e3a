// Waits for the answer of an asynchronous call of the runtime, on a thread that may block.
#pragma once

#include <future>
#include <memory>

#include "agent/error.h"
#include "orch/base/clock.h"

namespace orch::agent {

// `call` is given the callback. Error kTimeout: no answer in time; a later one is dropped.
template <class T, class Call>
Result<T, Error> wait_for(Call call, Millis timeout = Millis{5000}) {
  auto promise = std::make_shared<std::promise<Result<T, Error>>>();
  auto future = promise->get_future();
  call([promise](Result<T, Error> result) { promise->set_value(std::move(result)); });
  if (future.wait_for(timeout) != std::future_status::ready) {
    return Err(Error{Error::Code::kTimeout, "the container runtime does not answer"});
  }
  return future.get();
}

}  // namespace orch::agent
