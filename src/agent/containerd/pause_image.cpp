#include "agent/containerd/pause_image.h"

#include <fmt/format.h>

#include "agent/containerd/tar.h"
#include "orch/net/tls.h"

extern "C" {
extern const char orch_pause_begin[];
extern const char orch_pause_end[];
}

namespace orch::agent {

#if defined(__x86_64__)
constexpr std::string_view kArchitecture = "amd64";
#else
constexpr std::string_view kArchitecture = "arm64";
#endif

std::string_view pause_program() {
  return {orch_pause_begin, static_cast<size_t>(orch_pause_end - orch_pause_begin)};
}

std::string pause_image_archive(std::string_view name) {
  TarWriter layer_tar;
  layer_tar.add_file("pause", pause_program(), 0755);
  const std::string layer = layer_tar.finish();
  const std::string layer_digest = net::sha256_hex(layer);

  // Numeric user: the sandbox needs no passwd file.
  const std::string config =
      fmt::format(R"({{"architecture":"{}","os":"linux",)"
                  R"("config":{{"User":"65535:65535","Entrypoint":["/pause"]}},)"
                  R"("rootfs":{{"type":"layers","diff_ids":["sha256:{}"]}}}})",
                  kArchitecture, layer_digest);
  const std::string config_digest = net::sha256_hex(config);

  const std::string manifest =
      fmt::format(R"({{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",)"
                  R"("config":{{"mediaType":"application/vnd.oci.image.config.v1+json",)"
                  R"("digest":"sha256:{}","size":{}}},)"
                  R"("layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar",)"
                  R"("digest":"sha256:{}","size":{}}}]}})",
                  config_digest, config.size(), layer_digest, layer.size());
  const std::string manifest_digest = net::sha256_hex(manifest);

  const std::string index = fmt::format(
      R"({{"schemaVersion":2,"manifests":[)"
      R"({{"mediaType":"application/vnd.oci.image.manifest.v1+json",)"
      R"("digest":"sha256:{}","size":{},"annotations":{{"io.containerd.image.name":"{}"}},)"
      R"("platform":{{"architecture":"{}","os":"linux"}}}}]}})",
      manifest_digest, manifest.size(), name, kArchitecture);

  TarWriter archive;
  archive.add_file("oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  archive.add_file("index.json", index);
  archive.add_file("blobs/sha256/" + manifest_digest, manifest);
  archive.add_file("blobs/sha256/" + config_digest, config);
  archive.add_file("blobs/sha256/" + layer_digest, layer);
  return archive.finish();
}

}  // namespace orch::agent
