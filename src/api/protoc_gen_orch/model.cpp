#include "model.h"

#include <functional>
#include <set>

namespace orch::gen {

const idl::FileOptions& file_options(const pb::FileDescriptor* file) {
  return file->options().GetExtension(idl::api_file);
}
const idl::MessageOptions& message_options(const pb::Descriptor* message) {
  return message->options().GetExtension(idl::api_message);
}
const idl::FieldOptions& field_options(const pb::FieldDescriptor* field) {
  return field->options().GetExtension(idl::api_field);
}

bool is_object(const pb::Descriptor* message) {
  if (!message_options(message).kind() || file_options(message->file()).package() == "meta/v1")
    return false;
  const pb::FieldDescriptor* metadata = message->FindFieldByName("metadata");
  return metadata && metadata->message_type() && metadata->message_type()->name() == "ObjectMeta";
}

std::string member_name(const pb::FieldDescriptor* field) {
  static const std::set<std::string> keywords = {
      "and",     "auto",     "bool",     "break",    "case",      "catch",   "char",
      "class",   "const",    "continue", "default",  "delete",    "do",      "double",
      "else",    "enum",     "explicit", "export",   "extern",    "false",   "float",
      "for",     "friend",   "goto",     "if",       "inline",    "int",     "long",
      "mutable", "new",      "not",      "operator", "or",        "private", "protected",
      "public",  "register", "requires", "return",   "short",     "signed",  "sizeof",
      "static",  "struct",   "switch",   "template", "this",      "throw",   "true",
      "try",     "typedef",  "typename", "union",    "unsigned",  "using",   "virtual",
      "void",    "volatile", "while",    "xor",      "namespace", "concept", "linux",
      "unix"};  // the last two are macros of GNU C++
  const std::string& name = field->name();
  if (keywords.contains(name)) return name + "_";
  const bool taken = name == "type" || name == "clone";
  if (taken && is_object(field->containing_type())) return name + "_";
  return name;
}

namespace {

// The field that states the element: the map's value, else the field itself.
const pb::FieldDescriptor* element_of(const pb::FieldDescriptor* field) {
  return field->is_map() ? field->message_type()->map_value() : field;
}

bool is_value(const pb::Descriptor* message) { return message->file()->name() == "values.proto"; }

}  // namespace

const pb::Descriptor* struct_of(const pb::FieldDescriptor* field) {
  const pb::Descriptor* message = element_of(field)->message_type();
  return message && !is_value(message) ? message : nullptr;
}

std::string field_type(const pb::FieldDescriptor* field) {
  const pb::FieldDescriptor* element = element_of(field);
  switch (element->type()) {
    case pb::FieldDescriptor::TYPE_BOOL:
      return "kBool";
    case pb::FieldDescriptor::TYPE_INT32:
      return "kInt32";
    case pb::FieldDescriptor::TYPE_INT64:
      return "kInt64";
    case pb::FieldDescriptor::TYPE_DOUBLE:
      return "kDouble";
    case pb::FieldDescriptor::TYPE_BYTES:
      return "kBytes";
    case pb::FieldDescriptor::TYPE_MESSAGE: {
      const pb::Descriptor* message = element->message_type();
      if (!is_value(message)) return "kMessage";
      const std::string& name = message->name();
      if (name == "RawExtension" || name == "FieldsV1" || name == "JSON") return "kRawJson";
      return "k" + name;
    }
    default:
      return "kString";
  }
}

std::string element_type(const pb::FieldDescriptor* field) {
  const std::string type = field_type(field);
  if (type == "kString" || type == "kBytes") return "std::string";
  if (type == "kBool") return "bool";
  if (type == "kInt32") return "int32_t";
  if (type == "kInt64") return "int64_t";
  if (type == "kDouble") return "double";
  if (type == "kStringList") return "std::vector<std::string>";
  if (type != "kMessage") return type.substr(1);
  const pb::Descriptor* message = struct_of(field);
  if (message->file() == field->file()) return message->name();
  return file_options(message->file()).alias() + "::" + message->name();
}

std::string shape(const pb::FieldDescriptor* field) {
  if (field->is_map()) return "kMap";
  if (field->is_repeated()) return "kList";
  return field->has_optional_keyword() ? "kOptional" : "kSingle";
}

std::string member_type(const pb::FieldDescriptor* field) {
  const std::string element = element_type(field);
  const std::string form = shape(field);
  if (form == "kMap") return "std::map<std::string, " + element + ">";
  if (form == "kList") return "std::vector<" + element + ">";
  if (form == "kSingle") return element;
  return (struct_of(field) ? "Ptr<" : "std::optional<") + element + ">";
}

const pb::Descriptor* inlined_base(const pb::Descriptor* message) {
  for (int i = 0; i < message->field_count(); i++)
    if (field_options(message->field(i)).inlined()) return message->field(i)->message_type();
  return nullptr;
}

template <class Descriptor>
std::string description(const Descriptor* descriptor) {
  pb::SourceLocation location;
  if (!descriptor->GetSourceLocation(&location)) return "";
  std::string out;
  bool paragraph = false;
  std::string line;
  auto flush = [&] {
    const size_t begin = line.find_first_not_of(' ');
    if (begin == std::string::npos) {
      paragraph = !out.empty();
    } else {
      if (!out.empty()) out += paragraph ? '\n' : ' ';
      out += line.substr(begin, line.find_last_not_of(' ') - begin + 1);
      paragraph = false;
    }
    line.clear();
  };
  for (char c : location.leading_comments) {
    if (c == '\n') {
      flush();
    } else {
      line += c;
    }
  }
  flush();
  return out;
}
template std::string description(const pb::Descriptor*);
template std::string description(const pb::FieldDescriptor*);

std::vector<const pb::Descriptor*> by_dependency(const pb::FileDescriptor* file) {
  std::vector<const pb::Descriptor*> order;
  std::set<const pb::Descriptor*> seen;
  std::function<void(const pb::Descriptor*)> visit = [&](const pb::Descriptor* message) {
    if (message->file() != file || !seen.insert(message).second) return;
    for (int i = 0; i < message->field_count(); i++) {
      const pb::FieldDescriptor* field = message->field(i);
      if (const pb::Descriptor* held = struct_of(field); held && shape(field) == "kSingle")
        visit(held);
    }
    order.push_back(message);
  };
  for (int i = 0; i < file->message_type_count(); i++) visit(file->message_type(i));
  return order;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace orch::gen
