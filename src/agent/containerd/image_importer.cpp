#include "agent/containerd/image_importer.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <thread>

#include "agent/containerd/pause_image.h"
#include "agent/containerd/process.h"
#include "orch/base/file.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"

namespace orch::agent {
namespace {

constexpr Millis kImportTimeout{15 * 60'000};

bool is_archive(const std::string& name) {
  for (const char* ending : {".tar", ".tar.gz", ".tgz", ".tar.zst"}) {
    if (name.ends_with(ending)) return true;
  }
  return false;
}

// nullopt = the runtime does not answer yet.
std::optional<bool> has_image(ContainerRuntime& runtime, const std::string& name) {
  auto promise = std::make_shared<std::promise<std::optional<bool>>>();
  auto answer = promise->get_future();
  runtime.image_status(name, [promise](Result<std::optional<ImageView>, Error> result) {
    promise->set_value(result ? std::optional(result->has_value()) : std::nullopt);
  });
  return answer.get();
}

}  // namespace

ImageImporter::ImageImporter(ContainerdPaths paths, std::string snapshotter)
    : paths_(std::move(paths)),
      snapshotter_(std::move(snapshotter)),
      state_file_(paths_.root + "/orch-imported") {
  load_state();
}

Result<Unit, std::string> ImageImporter::import_file(const std::string& file) {
  auto ctr = find_program("ctr");
  if (!ctr) return Err(std::string("ctr not found in PATH; it is part of containerd"));
  ORCH_CHECK(run_program({*ctr, "--address", paths_.socket, "--namespace", "k8s.io", "images",
                          "import", "--snapshotter", snapshotter_, file},
                         kImportTimeout));
  return Unit{};
}

Result<Unit, std::string> ImageImporter::ensure_pause_image(ContainerRuntime& runtime,
                                                            Millis timeout) {
  const std::string name(pause_image_name());
  auto deadline = std::chrono::steady_clock::now() + timeout;
  bool imported = false;
  while (std::chrono::steady_clock::now() < deadline) {
    auto present = has_image(runtime, name);
    if (present && *present) return Unit{};
    if (present && !imported) {
      const std::string file = paths_.root + "/pause.tar";
      ORCH_CHECK(write_file_atomic(file, pause_image_archive(name), 0600));
      auto result = import_file(file);
      ::unlink(file.c_str());
      ORCH_CHECK(std::move(result));
      imported = true;
      continue;
    }
    std::this_thread::sleep_for(Millis{10});
  }
  return Err(fmt::format("the runtime at {} does not answer", paths_.socket));
}

void ImageImporter::import_folder() {
  std::error_code ec;
  std::map<std::string, std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(paths_.images_dir, ec)) {
    std::string name = entry.path().filename().string();
    struct stat st {};
    if (!is_archive(name) || ::stat(entry.path().c_str(), &st) != 0 || !S_ISREG(st.st_mode)) {
      continue;
    }
    found[name] =
        fmt::format("{} {}", st.st_size, st.st_mtim.tv_sec * 1'000'000'000ll + st.st_mtim.tv_nsec);
  }
  bool changed = false;
  for (const auto& [name, mark] : found) {
    auto known = imported_.find(name);
    if (known != imported_.end() && known->second == mark) continue;
    if (auto result = import_file(paths_.images_dir + "/" + name); !result) {
      log::error("containerd", "import of images/{}: {}", name, result.error());
    } else {
      log::info("containerd", "imported images/{}", name);
    }
    imported_[name] = mark;
    changed = true;
  }
  changed |= std::erase_if(imported_, [&](const auto& e) { return !found.contains(e.first); }) > 0;
  if (changed) save_state();
}

void ImageImporter::load_state() {
  auto text = read_file(state_file_);
  if (!text) return;
  for (const auto& line : split(*text, '\n')) {
    auto tab = line.find('\t');
    if (tab != std::string::npos) imported_[line.substr(tab + 1)] = line.substr(0, tab);
  }
}

void ImageImporter::save_state() {
  std::string text;
  for (const auto& [name, mark] : imported_) text += mark + "\t" + name + "\n";
  if (auto result = write_file_atomic(state_file_, text); !result) {
    log::warn("containerd", "{}", result.error());
  }
}

}  // namespace orch::agent
