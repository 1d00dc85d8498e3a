#include "api/codec/json_text.h"
#include "api/codec/walk.h"
#include "orch/api/codec.h"
#include "orch/base/strings.h"

namespace orch::api {

namespace codec {

namespace {

struct Writer {
  std::string& out;

  void key(bool& first, std::string_view name) {
    if (!first) out += ',';
    first = false;
    // Names of fields need no escapes.
    out += '"';
    out += name;
    out += "\":";
  }
  void type_meta(bool& first, const TypeInfo& type) {
    key(first, "kind");
    append_string(out, type.kind);
    key(first, "apiVersion");
    out += '"';
    if (!type.group.empty()) (out += type.group) += '/';
    (out += type.version) += '"';
  }
  void object(const TypeInfo& type, const void* value, bool typed) {
    if (type.json_form != JsonForm::kObject) return alternative(type, value);
    out += '{';
    bool first = true;
    if (typed && !type.kind.empty()) type_meta(first, type);
    fields(first, type, value);
    out += '}';
  }
  // Field 1 or field 2, as the form says.
  void alternative(const TypeInfo& type, const void* value);
  void fields(bool& first, const TypeInfo& type, const void* value);
  void field(bool& first, const FieldInfo& field, const void* member);
  void field_value(const FieldInfo& field, const void* member);
  void element(const FieldInfo& field, const void* value);
};

// Go's omitempty leaves out what is empty; structs never are.
bool is_empty(const FieldInfo& field, const void* member) {
  if (field.shape != Shape::kSingle) return field.container->size(member) == 0;
  switch (field.type) {
    case FieldType::kString:
    case FieldType::kBytes:
      return get<std::string>(member).empty();
    case FieldType::kBool:
      return !get<bool>(member);
    case FieldType::kInt32:
      return get<int32_t>(member) == 0;
    case FieldType::kInt64:
      return get<int64_t>(member) == 0;
    case FieldType::kDouble:
      return get<double>(member) == 0;
    case FieldType::kStringList:
      return get<std::vector<std::string>>(member).empty();
    default:
      return false;
  }
}

void append_time(std::string& out, const std::string& text) {
  if (text.empty()) {
    out += "null";
  } else {
    ((out += '"') += text) += '"';
  }
}

void append_strings(std::string& out, const std::vector<std::string>& list) {
  out += '[';
  for (size_t i = 0; i < list.size(); i++) {
    if (i != 0) out += ',';
    append_string(out, list[i]);
  }
  out += ']';
}

void append_raw(std::string& out, const std::string& text) {
  // A RawExtension that came as protobuf has no JSON.
  if (text.empty() || text.starts_with(std::string_view("k8s\0", 4))) {
    out += "null";
  } else {
    out += text;
  }
}

void Writer::element(const FieldInfo& field, const void* value) {
  switch (field.type) {
    case FieldType::kString:
      return append_string(out, get<std::string>(value));
    case FieldType::kBool:
      out += get<bool>(value) ? "true" : "false";
      return;
    case FieldType::kInt32:
      return append_int(out, get<int32_t>(value));
    case FieldType::kInt64:
      return append_int(out, get<int64_t>(value));
    case FieldType::kDouble:
      return append_double(out, get<double>(value));
    case FieldType::kBytes:
      ((out += '"') += base64_encode(get<std::string>(value))) += '"';
      return;
    case FieldType::kMessage:
      return object(*field.message, value, field.typed);
    case FieldType::kQuantity:
      ((out += '"') += get<Quantity>(value).str()) += '"';
      return;
    case FieldType::kIntOrString: {
      const auto& either = get<IntOrString>(value);
      return either.is_string ? append_string(out, either.string_value)
                              : append_int(out, either.int_value);
    }
    case FieldType::kTime:
      return append_time(out, get<Time>(value).str());
    case FieldType::kMicroTime:
      return append_time(out, get<MicroTime>(value).str());
    case FieldType::kDuration:
      return append_string(out, get<Duration>(value).str());
    case FieldType::kRawJson:
      return append_raw(out, get<RawJson>(value).text);
    case FieldType::kStringList:
      return append_strings(out, get<std::vector<std::string>>(value));
  }
}

void Writer::field(bool& first, const FieldInfo& field, const void* member) {
  const bool empty = is_empty(field, member);
  if (empty && field.omit_empty) return;
  key(first, field.json_name);
  const bool bytes_or_list =
      field.type == FieldType::kBytes || field.type == FieldType::kStringList;
  if (empty && (field.shape != Shape::kSingle || bytes_or_list)) {
    out += "null";  // Go's nil
    return;
  }
  field_value(field, member);
}

void Writer::field_value(const FieldInfo& field, const void* member) {
  if (field.shape == Shape::kSingle) return element(field, member);
  struct Context {
    Writer& writer;
    const FieldInfo& field;
    bool first = true;
  } context{*this, field};
  if (field.shape == Shape::kOptional) {
    field.container->for_each(member, &context, [](void* c, std::string_view, const void* value) {
      auto& at = *static_cast<Context*>(c);
      at.writer.element(at.field, value);
    });
    return;
  }
  out += field.shape == Shape::kList ? '[' : '{';
  field.container->for_each(member, &context,
                            [](void* c, std::string_view name, const void* value) {
                              auto& at = *static_cast<Context*>(c);
                              if (!at.first) at.writer.out += ',';
                              at.first = false;
                              if (at.field.shape == Shape::kMap) {
                                append_string(at.writer.out, name);
                                at.writer.out += ':';
                              }
                              at.writer.element(at.field, value);
                            });
  out += field.shape == Shape::kList ? ']' : '}';
}

void Writer::fields(bool& first, const TypeInfo& type, const void* value) {
  for (const uint16_t index : type.json_order) {
    const FieldInfo& f = type.fields[index];
    const void* at = member(value, f);
    if (f.inlined) {
      fields(first, *f.message, at);
    } else {
      field(first, f, at);
    }
  }
}

void Writer::alternative(const TypeInfo& type, const void* value) {
  const FieldInfo& one = type.fields[0];
  const FieldInfo& two = type.fields[1];
  if (type.json_form == JsonForm::kSchemaOrBool) {
    // {allows = 1, schema = 2}: the schema if there is one.
    const bool schema = two.container->size(member(value, two)) != 0;
    field_value(schema ? two : one, member(value, schema ? two : one));
    return;
  }
  // {schema = 1, list = 2}: the list if it is not empty (arrays), the schema if there is one.
  const bool has_list = two.container->size(member(value, two)) != 0;
  const bool has_schema = one.container->size(member(value, one)) != 0;
  if (!has_list && !has_schema) {
    out += "null";
    return;
  }
  field_value(has_list ? two : one, member(value, has_list ? two : one));
}

}  // namespace

}  // namespace codec

void encode_json(const TypeInfo& type, const void* value, std::string& out) {
  codec::Writer{out}.object(type, value, true);
}

std::string to_json(const Object& object) {
  std::string out;
  encode_json(object.type(), &object, out);
  return out;
}

}  // namespace orch::api
