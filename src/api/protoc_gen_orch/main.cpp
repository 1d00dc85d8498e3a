// protoc-gen-orch: the IDL of src/api/idl to C++ structs and field tables.
//
// Parameters: "parts=N" splits a file's tables into N .cpp files (1 by default); "registry" writes
// only registry.cpp, the list of the packages of all files given.
#include <google/protobuf/compiler/code_generator.h>
#include <google/protobuf/compiler/plugin.h>
#include <google/protobuf/io/printer.h>
#include <google/protobuf/io/zero_copy_stream.h>

#include <cstdlib>
#include <memory>

#include "writers.h"

namespace orch::gen {

namespace {

void write(pb::compiler::GeneratorContext* context, const std::string& path,
           const std::string& text) {
  std::unique_ptr<pb::io::ZeroCopyOutputStream> stream(context->Open(path));
  pb::io::Printer printer(stream.get(), '\0');
  printer.WriteRaw(text.data(), static_cast<int>(text.size()));
}

class Generator : public pb::compiler::CodeGenerator {
 public:
  bool Generate(const pb::FileDescriptor* file, const std::string& parameter,
                pb::compiler::GeneratorContext* context, std::string* error) const override {
    const std::string& alias = file_options(file).alias();
    if (alias.empty()) {
      *error = file->name() + ": no (api_file) option";
      return false;
    }
    const std::string stem = "orch/api/" + alias;
    int parts = 1;
    if (parameter.starts_with("parts=")) parts = std::atoi(parameter.c_str() + 6);
    if (parts < 1 || parts > 99) {
      *error = "bad parameter: " + parameter;
      return false;
    }
    write(context, stem + ".h", header_text(file));
    for (int part = 0; part < parts; part++)
      write(context, stem + "_" + std::to_string(part) + ".cpp", tables_text(file, part, parts));
    return true;
  }

  bool GenerateAll(const std::vector<const pb::FileDescriptor*>& files,
                   const std::string& parameter, pb::compiler::GeneratorContext* context,
                   std::string* error) const override {
    if (parameter != "registry")
      return CodeGenerator::GenerateAll(files, parameter, context, error);
    write(context, "orch/api/registry.cpp", registry_text(files));
    return true;
  }

  uint64_t GetSupportedFeatures() const override { return FEATURE_PROTO3_OPTIONAL; }
};

}  // namespace

}  // namespace orch::gen

int main(int argc, char** argv) {
  const orch::gen::Generator generator;
  return google::protobuf::compiler::PluginMain(argc, argv, &generator);
}
