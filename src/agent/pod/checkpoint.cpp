#include "agent/pod/checkpoint.h"

#include "orch/api/codec.h"
#include "orch/base/file.h"
#include "orch/base/log.h"
#include "orch/base/strings.h"

namespace orch::agent {

std::vector<std::shared_ptr<const corev1::Pod>> load_pods(const std::string& file) {
  std::vector<std::shared_ptr<const corev1::Pod>> out;
  auto text = read_file(file);
  if (!text) return out;
  auto lines = split(*text, '\n');
  for (size_t i = 1; i < lines.size(); ++i) {  // the first opens the list
    std::string_view line = trim(lines[i]);
    if (line.ends_with(',')) line.remove_suffix(1);
    if (line.empty() || line == "]}") continue;
    auto pod = api::from_json<corev1::Pod>(line);
    if (pod && !pod->metadata.uid.empty()) {
      out.push_back(std::make_shared<const corev1::Pod>(std::move(*pod)));
    } else {
      log::warn("agent", "{}: line {} does not hold a pod", file, i + 1);
    }
  }
  return out;
}

Result<Unit, std::string> save_pods(const std::string& file,
                                    const std::vector<std::shared_ptr<const corev1::Pod>>& pods) {
  std::string text = "{\"apiVersion\":\"v1\",\"kind\":\"PodList\",\"items\":[\n";
  for (size_t i = 0; i < pods.size(); ++i) {
    text += api::to_json(*pods[i]);
    text += i + 1 < pods.size() ? ",\n" : "\n";
  }
  text += "]}\n";
  if (auto present = read_file(file); present && *present == text) return Unit{};
  return write_file_atomic(file, text, 0600);
}

}  // namespace orch::agent
