#include <algorithm>

#include "writers.h"

namespace orch::gen {

namespace {

std::string list_of(const google::protobuf::RepeatedPtrField<std::string>& texts,
                    const std::string& name) {
  std::string out = "constexpr std::string_view " + name + "[] = {";
  for (const std::string& text : texts) out += quoted(text) + ", ";
  return out + "};\n";
}

// Protobuf numbers ascending; without a protobuf form as written.
std::vector<const pb::FieldDescriptor*> table_order(const pb::Descriptor* message) {
  std::vector<const pb::FieldDescriptor*> fields;
  for (int i = 0; i < message->field_count(); i++) fields.push_back(message->field(i));
  std::stable_sort(fields.begin(), fields.end(),
                   [](auto* a, auto* b) { return a->number() < b->number(); });
  return fields;
}

std::string container_ops(const pb::FieldDescriptor* field) {
  const std::string form = shape(field);
  const std::string element = element_type(field);
  if (form == "kMap") return "&codec::kMapOps<" + element + ">";
  if (form == "kList") return "&codec::kVectorOps<" + element + ">";
  return (struct_of(field) ? "&codec::kPtrOps<" : "&codec::kOptionalOps<") + element + ">";
}

std::string field_text(const pb::FieldDescriptor* field, const std::string& owner,
                       const std::string& lists) {
  const idl::FieldOptions& options = field_options(field);
  const bool json_only = message_options(field->containing_type()).json_only();
  std::string out = "    {.json_name = " + quoted(field->json_name());
  out += ", .proto_number = " + std::to_string(json_only ? 0 : field->number());
  out += ", .type = FieldType::" + field_type(field) + ", .shape = Shape::" + shape(field);
  out += ", .offset = ";
  out += options.inlined() ? "0" : "offsetof(" + owner + ", " + member_name(field) + ")";
  if (struct_of(field)) out += ", .message = &" + element_type(field) + "::kTypeInfo";
  if (shape(field) != "kSingle") out += ", .container = " + container_ops(field);
  auto flag = [&](bool set, const char* name) {
    if (set) out += std::string(", .") + name + " = true";
  };
  flag(options.omitempty(), "omit_empty");
  flag(options.inlined(), "inlined");
  flag(options.required(), "required");
  flag(options.typed(), "typed");
  static const char* const kListTypes[] = {"kNone", "kAtomic", "kSet", "kMap"};
  if (options.list_type())
    out += std::string(", .list_type = ListType::") + kListTypes[options.list_type()];
  if (options.list_map_keys_size()) out += ", .list_map_keys = " + lists + "_keys";
  flag(options.map_atomic(), "map_atomic");
  flag(options.patch_merge(), "patch_merge");
  flag(options.patch_retain_keys(), "patch_retain_keys");
  flag(options.patch_replace(), "patch_replace");
  if (!options.patch_merge_key().empty())
    out += ", .patch_merge_key = " + quoted(options.patch_merge_key());
  if (!options.default_json().empty()) out += ", .default_json = " + quoted(options.default_json());
  if (options.enum_values_size()) out += ", .enum_values = " + lists + "_values";
  if (const std::string text = description(field); !text.empty())
    out += ",\n     .description = " + quoted(text);
  return out + "},\n";
}

std::string type_info_text(const pb::Descriptor* message, bool has_fields) {
  const idl::FileOptions& file = file_options(message->file());
  const idl::MessageOptions& options = message_options(message);
  const std::string& name = message->name();
  std::string out = "constinit const TypeInfo " + name + "::kTypeInfo = {\n";
  out += "    .package = " + quoted(file.package()) + ", .name = " + quoted(name);
  out += ", .openapi_name = " + quoted(file.openapi_prefix() + "." + name);
  if (const std::string text = description(message); !text.empty())
    out += ",\n    .description = " + quoted(text);
  if (has_fields) out += ", .fields = k" + name + "Fields, .json_order = k" + name + "JsonOrder";
  out += ",\n    .size = sizeof(" + name + ")";
  if (options.map_atomic()) out += ", .map_atomic = true";
  static const char* const kForms[] = {"kObject", "kSchemaOrArray", "kSchemaOrBool",
                                       "kSchemaOrStringArray"};
  if (options.json_form())
    out += std::string(", .json_form = JsonForm::") + kForms[options.json_form()];
  if (options.kind()) {
    const std::string& group = options.group().empty() ? file.group() : options.group();
    out += ", .group = " + quoted(group) + ", .version = " + quoted(file.version());
    out += ", .kind = " + quoted(name);
  }
  if (is_object(message))
    out += ", .is_object = true,\n    .make_object = codec::make_object<" + name + ">";
  return out + ",\n    .make = codec::make<" + name + ">, .destroy = codec::destroy<" + name +
         ">, .copy = codec::copy<" + name + ">};\n\n";
}

std::string message_text(const pb::Descriptor* message) {
  const std::string& n = message->name();
  std::string out;
  out += n + "::" + n + "() = default;\n";
  out += n + "::" + n + "(const " + n + "&) = default;\n";
  out += n + "::" + n + "(" + n + "&&) noexcept = default;\n";
  out += n + "& " + n + "::operator=(const " + n + "&) = default;\n";
  out += n + "& " + n + "::operator=(" + n + "&&) noexcept = default;\n";
  out += n + "::~" + n + "() = default;\n";
  if (is_object(message)) {
    out += "const TypeInfo& " + n + "::type() const noexcept { return kTypeInfo; }\n";
    out += "std::unique_ptr<Object> " + n + "::clone() const { return std::make_unique<" + n +
           ">(*this); }\n";
  }
  const std::vector<const pb::FieldDescriptor*> fields = table_order(message);
  if (!fields.empty()) {
    std::string rows;
    std::vector<int> json_order(fields.size());
    for (size_t i = 0; i < fields.size(); i++) {
      const idl::FieldOptions& options = field_options(fields[i]);
      const std::string lists = "k" + n + "_" + fields[i]->name();
      if (options.list_map_keys_size()) out += list_of(options.list_map_keys(), lists + "_keys");
      if (options.enum_values_size()) out += list_of(options.enum_values(), lists + "_values");
      rows += field_text(fields[i], n, lists);
      json_order[fields[i]->index()] = static_cast<int>(i);
    }
    out += "constexpr FieldInfo k" + n + "Fields[] = {\n" + rows + "};\n";
    out += "constexpr uint16_t k" + n + "JsonOrder[] = {";
    for (int i : json_order) out += std::to_string(i) + ", ";
    out += "};\n";
  }
  return out + type_info_text(message, !fields.empty());
}

}  // namespace

std::string tables_text(const pb::FileDescriptor* file, int part, int parts) {
  const std::string& alias = file_options(file).alias();
  std::string out = "// Generated by protoc-gen-orch from " + file->name() + ".\n";
  out += "#include \"orch/api/" + alias + ".h\"\n\n";
  out += "#include <cstddef>\n\n";
  out += "#include \"api/codec/type_ops.h\"\n\n";
  out += "namespace orch::api::" + alias + " {\n\n";
  for (int i = part; i < file->message_type_count(); i += parts)
    out += message_text(file->message_type(i));
  if (part == 0) {
    std::vector<std::string> names;
    for (int i = 0; i < file->message_type_count(); i++)
      names.push_back(file->message_type(i)->name());
    std::sort(names.begin(), names.end());
    out += "constexpr const TypeInfo* kTypes[] = {\n";
    for (const std::string& name : names) out += "    &" + name + "::kTypeInfo,\n";
    out += "};\n";
    out += "extern constinit const std::span<const TypeInfo* const> kPackageTypes;\n";
    out += "constinit const std::span<const TypeInfo* const> kPackageTypes{kTypes};\n";
  }
  return out + "}  // namespace orch::api::" + alias + "\n";
}

std::string registry_text(const std::vector<const pb::FileDescriptor*>& files) {
  std::vector<const idl::FileOptions*> packages;
  for (const pb::FileDescriptor* file : files)
    if (!file_options(file).alias().empty()) packages.push_back(&file_options(file));
  std::sort(packages.begin(), packages.end(),
            [](auto* a, auto* b) { return a->package() < b->package(); });
  std::string out = "// Generated by protoc-gen-orch.\n#include \"api/codec/type_ops.h\"\n\n";
  out += "namespace orch::api {\n\n";
  for (const idl::FileOptions* package : packages)
    out += "namespace " + package->alias() +
           " {\nextern const std::span<const TypeInfo* const> kPackageTypes;\n}\n";
  out += "\nnamespace codec {\n\n";
  out += "constexpr const std::span<const TypeInfo* const>* kPackages[] = {\n";
  for (const idl::FileOptions* package : packages)
    out += "    &" + package->alias() + "::kPackageTypes,\n";
  out += "};\n\nstd::span<const std::span<const TypeInfo* const>* const> packages() { ";
  return out + "return kPackages; }\n\n}  // namespace codec\n}  // namespace orch::api\n";
}

}  // namespace orch::gen
