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

std::string state_file_of(const ContainerdPaths& paths) { return paths.root + "/orch-imported"; }

}  // namespace

ImageImporter::ImageImporter(ContainerdPaths paths, std::string snapshotter)
    : paths_(std::move(paths)),
      snapshotter_(std::move(snapshotter)),
      state_file_(state_file_of(paths_)) {
  load_state();
}

std::vector<std::string> images_of_import(const std::string& output) {
  std::vector<std::string> out;
  for (const auto& line : split(output, '\n')) {
    constexpr std::string_view kUnpacking = "unpacking ";
    const std::string_view text = trim(line);
    if (text.starts_with(kUnpacking)) {
      const auto rest = text.substr(kUnpacking.size());
      out.emplace_back(rest.substr(0, rest.find(' ')));
    } else if (text.ends_with(" saved") || text.ends_with("\tsaved")) {
      out.emplace_back(text.substr(0, text.find_first_of(" \t")));
    }
  }
  return out;
}

std::set<std::string> imported_images(const ContainerdPaths& paths) {
  std::set<std::string> out;
  const std::string text = read_file(state_file_of(paths)).value_or("");
  for (const auto& line : split(text, '\n')) {
    const auto columns = split(line, '\t');
    if (columns.size() != 3) continue;
    for (auto& image : split(columns[2], ' ')) out.insert(std::move(image));
  }
  return out;
}

Result<std::vector<std::string>, std::string> ImageImporter::import_file(const std::string& file) {
  auto ctr = find_program("ctr");
  if (!ctr) return Err(std::string("ctr not found in PATH; it is part of containerd"));
  ORCH_TRY(const auto output,
           run_program({*ctr, "--address", paths_.socket, "--namespace", "k8s.io", "images",
                        "import", "--snapshotter", snapshotter_, file},
                       kImportTimeout));
  return images_of_import(output);
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
  for (const auto& [name, mark] : found) {
    auto known = imported_.find(name);
    if (known != imported_.end() && known->second.mark == mark) continue;
    Archive& archive = imported_[name];
    archive.mark = mark;  // what an earlier import brought stays until another succeeds
    if (auto result = import_file(paths_.images_dir + "/" + name); !result) {
      log::error("containerd", "import of images/{}: {}", name, result.error());
    } else {
      log::info("containerd", "imported images/{}", name);
      archive.images = std::move(*result);
    }
    // At once: what is imported is kept by the collection of images.
    save_state();
  }
  if (std::erase_if(imported_, [&](const auto& e) { return !found.contains(e.first); }) > 0) {
    save_state();
  }
}

// Lines without names are of an orch that did not note them: such an archive is imported again.
void ImageImporter::load_state() {
  auto text = read_file(state_file_);
  if (!text) return;
  for (const auto& line : split(*text, '\n')) {
    auto columns = split(line, '\t');
    if (columns.size() == 3) imported_[columns[1]] = {columns[0], split(columns[2], ' ')};
  }
}

void ImageImporter::save_state() {
  std::string text;
  for (const auto& [name, archive] : imported_) {
    text += fmt::format("{}\t{}\t{}\n", archive.mark, name, join(archive.images, " "));
  }
  if (auto result = write_file_atomic(state_file_, text); !result) {
    log::warn("containerd", "{}", result.error());
  }
}

}  // namespace orch::agent
