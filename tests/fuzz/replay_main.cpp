// Runs a fuzz target over the files of a folder, each also cut short and with bytes changed: what
// libFuzzer would do, small and the same every time.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

void run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

void run_variations(const std::string& input) {
  run(input);
  const size_t step = input.size() / 200 + 1;
  for (size_t length = 0; length < input.size(); length += step) run(input.substr(0, length));
  for (size_t at = 0; at < input.size(); at += step) {
    for (const unsigned char change : {0x01, 0x80, 0xff}) {
      std::string changed = input;
      changed[at] = static_cast<char>(static_cast<unsigned char>(changed[at]) ^ change);
      run(changed);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  int files = 0;
  for (int i = 1; i < argc; i++) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      std::ifstream in(entry.path(), std::ios::binary);
      run_variations({std::istreambuf_iterator<char>(in), {}});
      files++;
    }
  }
  std::printf("%d corpus files replayed\n", files);
  return files == 0;
}
