// gnostic's protobuf messages of OpenAPI documents (openapiv2 and openapiv3 .proto), written from
// the JSON form part by part, so that no document is held as a tree. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "api/patch/json.h"

namespace orch::api::openapi {

// Protobuf wire format, appended to a string.
class ProtoWriter {
 public:
  void text(int number, std::string_view bytes) {  // string, bytes or message
    varint(static_cast<uint64_t>(number) << 3 | 2);
    varint(bytes.size());
    out_ += bytes;
  }
  void message(int number, const ProtoWriter& message) { text(number, message.out_); }
  void flag(int number, bool value) {
    varint(static_cast<uint64_t>(number) << 3);
    varint(value ? 1 : 0);
  }
  void number(int number, double value);
  const std::string& str() const { return out_; }
  std::string take() { return std::move(out_); }

 private:
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_ += static_cast<char>(value | 0x80);
    out_ += static_cast<char>(value);
  }
  std::string out_;
};

// Any{yaml}; JSON is YAML.
ProtoWriter any(const doc::Value& value);
// NamedAny for each "x-" member of `object`.
void write_extensions(ProtoWriter& out, int number, const doc::Value& object);
// String members of `object` by name.
struct TextField {
  std::string_view name;
  int number;
};
template <size_t N>
void write_texts(ProtoWriter& out, const doc::Value& object, const TextField (&fields)[N]) {
  for (const TextField& field : fields) {
    if (std::string_view value = object.string_at(field.name); !value.empty()) {
      out.text(field.number, value);
    }
  }
}
void write_text_list(ProtoWriter& out, int number, const doc::Value* list);
void write_flag(ProtoWriter& out, int number, const doc::Value* value);

// Name and value, the form of all map entries.
ProtoWriter named(std::string_view name, const ProtoWriter& value);

ProtoWriter v2_schema(const doc::Value& schema);
ProtoWriter v2_path_item(const doc::Value& item);
ProtoWriter v3_schema_or_reference(const doc::Value& schema);
ProtoWriter v3_path_item(const doc::Value& item);

}  // namespace orch::api::openapi
