#include <charconv>

#include "api/openapi/gnostic.h"

namespace orch::api::openapi {
namespace {

using doc::Member;
using doc::Value;

ProtoWriter wrapped(int number, const ProtoWriter& message) {
  ProtoWriter out;
  out.message(number, message);
  return out;
}

void write_schema_list(ProtoWriter& out, int number, const Value* list) {
  if (list == nullptr) return;
  for (const Member& item : list->items) out.message(number, v3_schema_or_reference(item.value));
}

// DefaultType holds scalars only.
void write_default(ProtoWriter& out, const Value* value) {
  if (value == nullptr || value->is_container() || value->is_null()) return;
  ProtoWriter type;
  if (value->is_string()) {
    type.text(3, value->text);
  } else if (value->kind == Value::Kind::kBool) {
    type.flag(2, value->flag);
  } else {
    double number = 0;
    std::from_chars(value->text.data(), value->text.data() + value->text.size(), number);
    type.number(1, number);
  }
  out.message(33, type);
}

ProtoWriter schema(const Value& s) {
  ProtoWriter out;
  write_flag(out, 20, s.find("uniqueItems"));
  write_text_list(out, 23, s.find("required"));
  if (const Value* values = s.find("enum")) {
    for (const Member& value : values->items) out.message(24, any(value.value));
  }
  write_texts(out, s, {{"type", 25}});
  write_schema_list(out, 26, s.find("allOf"));
  write_schema_list(out, 27, s.find("oneOf"));
  if (const Value* items = s.find("items")) {
    out.message(30, wrapped(1, v3_schema_or_reference(*items)));
  }
  if (const Value* properties = s.find("properties")) {
    ProtoWriter list;
    for (const Member& p : properties->items) {
      list.message(1, named(p.key, v3_schema_or_reference(p.value)));
    }
    out.message(31, list);
  }
  if (const Value* more = s.find("additionalProperties")) {
    out.message(32, wrapped(1, v3_schema_or_reference(*more)));
  }
  write_default(out, s.find("default"));
  write_texts(out, s, {{"description", 34}, {"format", 35}});
  write_extensions(out, 36, s);
  return out;
}

// MediaTypes
ProtoWriter content(const Value& types) {
  ProtoWriter out;
  for (const Member& type : types.items) {
    ProtoWriter media;
    if (const Value* s = type.value.find("schema")) media.message(1, v3_schema_or_reference(*s));
    out.message(1, named(type.key, media));
  }
  return out;
}

// ParameterOrReference{parameter}
ProtoWriter parameter(const Value& p) {
  ProtoWriter out;
  write_texts(out, p, {{"name", 1}, {"in", 2}, {"description", 3}});
  write_flag(out, 4, p.find("required"));
  if (const Value* s = p.find("schema")) out.message(10, v3_schema_or_reference(*s));
  return wrapped(1, out);
}

ProtoWriter request_body(const Value& body) {
  ProtoWriter out;
  if (const Value* types = body.find("content")) out.message(2, content(*types));
  write_flag(out, 3, body.find("required"));
  return wrapped(1, out);
}

ProtoWriter response(const Value& r) {
  ProtoWriter out;
  write_texts(out, r, {{"description", 1}});
  if (const Value* types = r.find("content")) out.message(3, content(*types));
  return wrapped(1, out);
}

ProtoWriter operation(const Value& o) {
  ProtoWriter out;
  write_text_list(out, 1, o.find("tags"));
  write_texts(out, o, {{"description", 3}, {"operationId", 5}});
  if (const Value* parameters = o.find("parameters")) {
    for (const Member& p : parameters->items) out.message(6, parameter(p.value));
  }
  if (const Value* body = o.find("requestBody")) out.message(7, request_body(*body));
  if (const Value* list = o.find("responses")) {
    ProtoWriter responses;
    for (const Member& r : list->items) responses.message(2, named(r.key, response(r.value)));
    out.message(8, responses);
  }
  write_extensions(out, 13, o);
  return out;
}

}  // namespace

ProtoWriter v3_schema_or_reference(const Value& s) {
  if (std::string_view ref = s.string_at("$ref"); !ref.empty()) {
    ProtoWriter reference;
    reference.text(1, ref);
    return wrapped(2, reference);
  }
  return wrapped(1, schema(s));
}

ProtoWriter v3_path_item(const Value& item) {
  ProtoWriter out;
  struct Method {
    std::string_view name;
    int number;
  };
  for (Method method : {Method{"get", 4}, {"put", 5}, {"post", 6}, {"delete", 7}, {"patch", 10}}) {
    if (const Value* o = item.find(method.name)) out.message(method.number, operation(*o));
  }
  if (const Value* parameters = item.find("parameters")) {
    for (const Member& p : parameters->items) out.message(13, parameter(p.value));
  }
  return out;
}

}  // namespace orch::api::openapi
