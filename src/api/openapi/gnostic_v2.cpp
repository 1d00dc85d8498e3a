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

ProtoWriter body_parameter(const Value& p) {
  ProtoWriter out;
  write_texts(out, p, {{"description", 1}, {"name", 2}, {"in", 3}});
  write_flag(out, 4, p.find("required"));
  if (const Value* schema = p.find("schema")) out.message(5, v2_schema(*schema));
  return out;
}

ProtoWriter query_parameter(const Value& p) {
  ProtoWriter out;
  write_flag(out, 1, p.find("required"));
  write_texts(out, p, {{"in", 2}, {"description", 3}, {"name", 4}, {"type", 6}, {"format", 7}});
  write_flag(out, 20, p.find("uniqueItems"));
  return out;
}

ProtoWriter path_parameter(const Value& p) {
  ProtoWriter out;
  write_flag(out, 1, p.find("required"));
  write_texts(out, p, {{"in", 2}, {"description", 3}, {"name", 4}, {"type", 5}, {"format", 6}});
  write_flag(out, 19, p.find("uniqueItems"));
  return out;
}

// ParametersItem{parameter}
ProtoWriter parameters_item(const Value& p) {
  std::string_view in = p.string_at("in");
  ProtoWriter parameter;
  if (in == "body") {
    parameter.message(1, body_parameter(p));
  } else {
    parameter.message(
        2, in == "path" ? wrapped(4, path_parameter(p)) : wrapped(3, query_parameter(p)));
  }
  return wrapped(1, parameter);
}

ProtoWriter response_value(const Value& r) {
  ProtoWriter response;
  write_texts(response, r, {{"description", 1}});
  if (const Value* schema = r.find("schema")) {
    response.message(2, wrapped(1, v2_schema(*schema)));
  }
  return wrapped(1, response);
}

ProtoWriter operation(const Value& o) {
  ProtoWriter out;
  write_text_list(out, 1, o.find("tags"));
  write_texts(out, o, {{"description", 3}, {"operationId", 5}});
  write_text_list(out, 6, o.find("produces"));
  write_text_list(out, 7, o.find("consumes"));
  if (const Value* parameters = o.find("parameters")) {
    for (const Member& p : parameters->items) out.message(8, parameters_item(p.value));
  }
  if (const Value* list = o.find("responses")) {
    ProtoWriter responses;
    for (const Member& r : list->items) {
      responses.message(1, named(r.key, response_value(r.value)));
    }
    out.message(9, responses);
  }
  write_text_list(out, 10, o.find("schemes"));
  write_extensions(out, 13, o);
  return out;
}

}  // namespace

ProtoWriter v2_schema(const Value& s) {
  ProtoWriter out;
  write_texts(out, s, {{"$ref", 1}, {"format", 2}, {"title", 3}, {"description", 4}});
  if (const Value* value = s.find("default")) out.message(5, any(*value));
  write_text_list(out, 19, s.find("required"));
  if (const Value* values = s.find("enum")) {
    for (const Member& value : values->items) out.message(20, any(value.value));
  }
  if (const Value* more = s.find("additionalProperties")) {
    out.message(21, wrapped(1, v2_schema(*more)));
  }
  if (std::string_view type = s.string_at("type"); !type.empty()) {
    ProtoWriter item;
    item.text(1, type);
    out.message(22, item);
  }
  if (const Value* items = s.find("items")) out.message(23, wrapped(1, v2_schema(*items)));
  if (const Value* properties = s.find("properties")) {
    ProtoWriter list;
    for (const Member& p : properties->items) list.message(1, named(p.key, v2_schema(p.value)));
    out.message(25, list);
  }
  write_extensions(out, 31, s);
  return out;
}

ProtoWriter v2_path_item(const Value& item) {
  ProtoWriter out;
  struct Method {
    std::string_view name;
    int number;
  };
  for (Method method : {Method{"get", 2}, {"put", 3}, {"post", 4}, {"delete", 5}, {"patch", 8}}) {
    if (const Value* o = item.find(method.name)) out.message(method.number, operation(*o));
  }
  if (const Value* parameters = item.find("parameters")) {
    for (const Member& p : parameters->items) out.message(9, parameters_item(p.value));
  }
  return out;
}

}  // namespace orch::api::openapi
