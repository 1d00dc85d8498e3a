#include "api/openapi/gnostic.h"

#include <cstring>

namespace orch::api::openapi {

using doc::Member;
using doc::Value;

void ProtoWriter::number(int number, double value) {
  varint(static_cast<uint64_t>(number) << 3 | 1);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  for (int i = 0; i < 8; ++i) out_ += static_cast<char>(bits >> (8 * i));
}

ProtoWriter any(const Value& value) {
  ProtoWriter out;
  out.text(2, doc::to_text(value));
  return out;
}

ProtoWriter named(std::string_view name, const ProtoWriter& value) {
  ProtoWriter out;
  out.text(1, name);
  out.message(2, value);
  return out;
}

void write_extensions(ProtoWriter& out, int number, const Value& object) {
  for (const Member& member : object.items) {
    if (member.key.starts_with("x-")) out.message(number, named(member.key, any(member.value)));
  }
}

void write_text_list(ProtoWriter& out, int number, const Value* list) {
  if (list == nullptr) return;
  for (const Member& item : list->items) out.text(number, item.value.text);
}

void write_flag(ProtoWriter& out, int number, const Value* value) {
  if (value != nullptr && value->flag) out.flag(number, true);
}

}  // namespace orch::api::openapi
