// The store's database file from any bytes: it opens or is refused, and what opens can be used. No
// crash, no endless work.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "orch/base/log.h"
#include "orch/storage/etcd_snapshot.h"
#include "orch/storage/kv_store.h"

namespace {

using namespace orch;
using namespace orch::storage;

struct World {
  std::unique_ptr<ThreadPoolExecutor> executor = ThreadPoolExecutor::create(1);
  Env env{system_clock(), *executor, system_random(), no_faults()};
  std::string directory;

  World() {
    char name[] = "/dev/shm/orch-fuzz-XXXXXX";
    directory = ::mkdtemp(name);
    log::set_level(log::Level::kError);
  }
  ~World() { std::filesystem::remove_all(directory); }
};

void use(KvStore& store) {
  RangeRequest all;
  all.key = all.range_end = std::string(1, '\0');
  (void)store.range(all);
  all.revision = store.revision() - 1;
  (void)store.range(all);
  TxnRequest write;
  write.success.push_back(Op::put("/k/1", std::make_shared<const std::string>("x")));
  if (auto done = store.txn(write); done && done->revision <= 1) abort();
  (void)store.compact(store.revision());
  (void)take_snapshot(store);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World world;
  static int serial = 0;
  StoreOptions options;
  options.path = world.directory + "/" + std::to_string(++serial);
  options.volatile_prefixes = {"/v/"};
  std::filesystem::create_directory(options.path);
  std::ofstream(options.path + "/state.db", std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  for (int round = 0; round < 2; ++round) {
    auto store = open_sqlite_store(world.env, options);
    if (!store) {
      if (store.error().message.empty()) abort();
      break;
    }
    use(**store);
    (*store)->stop();
  }
  std::filesystem::remove_all(options.path);
  return 0;
}
