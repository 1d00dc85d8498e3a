// Structs to Kubernetes protobuf, byte for byte as gogo's generated code writes it: what is no
// pointer is always written, map entries go by key.
#include <bit>
#include <vector>

#include "api/codec/walk.h"
#include "api/codec/wire.h"
#include "orch/api/codec.h"

namespace orch::api {

namespace codec {

namespace {

void write_fields(std::string& out, const TypeInfo& type, const void* value);

void write_timestamp(std::string& out, int64_t seconds, int64_t nanos) {
  append_int(out, 1, seconds);
  append_int(out, 2, nanos);
}

void write_value(std::string& out, const FieldInfo& field, int32_t number, const void* value) {
  switch (field.type) {
    case FieldType::kString:
    case FieldType::kBytes:
      return append_bytes(out, number, get<std::string>(value));
    case FieldType::kBool:
      return append_int(out, number, get<bool>(value));
    case FieldType::kInt32:
      return append_int(out, number, get<int32_t>(value));
    case FieldType::kInt64:
      return append_int(out, number, get<int64_t>(value));
    case FieldType::kDouble: {
      append_tag(out, number, Wire::kFixed64);
      auto bits = std::bit_cast<uint64_t>(get<double>(value));
      for (int i = 0; i < 8; i++, bits >>= 8) out += static_cast<char>(bits & 0xff);
      return;
    }
    default:
      break;
  }
  const NestedMessage nested(out, number);
  switch (field.type) {
    case FieldType::kMessage:
      return write_fields(out, *field.message, value);
    case FieldType::kQuantity:
      return append_bytes(out, 1, get<Quantity>(value).str());
    case FieldType::kIntOrString: {
      const auto& either = get<IntOrString>(value);
      append_int(out, 1, either.is_string);
      append_int(out, 2, either.int_value);
      return append_bytes(out, 3, either.string_value);
    }
    case FieldType::kTime:
      if (const auto& time = get<Time>(value)) write_timestamp(out, time.unix_seconds, 0);
      return;
    case FieldType::kMicroTime:
      if (const auto& time = get<MicroTime>(value)) {
        int64_t seconds = time.unix_micros / 1'000'000, micros = time.unix_micros % 1'000'000;
        if (micros < 0) seconds--, micros += 1'000'000;
        write_timestamp(out, seconds, micros * 1000);
      }
      return;
    case FieldType::kDuration:
      return append_int(out, 1, get<Duration>(value).nanos);
    case FieldType::kRawJson:
      if (const auto& raw = get<RawJson>(value); !raw.text.empty()) append_bytes(out, 1, raw.text);
      return;
    case FieldType::kStringList:
      for (const std::string& text : get<std::vector<std::string>>(value))
        append_bytes(out, 1, text);
      return;
    default:
      return;
  }
}

void write_field(std::string& out, const FieldInfo& field, const void* member) {
  if (field.shape == Shape::kSingle) {
    // Go slices: nil is not written.
    const bool absent =
        (field.type == FieldType::kBytes && get<std::string>(member).empty()) ||
        (field.type == FieldType::kStringList && get<std::vector<std::string>>(member).empty());
    if (!absent) write_value(out, field, field.proto_number, member);
    return;
  }
  struct Context {
    std::string& out;
    const FieldInfo& field;
  } context{out, field};
  field.container->for_each(member, &context, [](void* c, std::string_view key, const void* value) {
    auto& [to, f] = *static_cast<Context*>(c);
    if (f.shape != Shape::kMap) return write_value(to, f, f.proto_number, value);
    const NestedMessage entry(to, f.proto_number);
    append_bytes(to, 1, key);
    write_value(to, f, 2, value);
  });
}

void write_fields(std::string& out, const TypeInfo& type, const void* value) {
  for (const FieldInfo& field : type.fields)
    if (field.proto_number != 0) write_field(out, field, member(value, field));
}

}  // namespace

}  // namespace codec

void encode_protobuf(const TypeInfo& type, const void* value, std::string& out) {
  codec::write_fields(out, type, value);
}

void append_protobuf_field(std::string& out, int32_t number, std::string_view bytes) {
  codec::append_bytes(out, number, bytes);
}

std::string wrap_protobuf(std::string_view api_version, std::string_view kind,
                          std::string_view raw) {
  std::string out;
  out.reserve(raw.size() + api_version.size() + kind.size() + 32);
  out.append("k8s\0", 4);
  {
    const codec::NestedMessage type_meta(out, 1);
    codec::append_bytes(out, 1, api_version);
    codec::append_bytes(out, 2, kind);
  }
  codec::append_bytes(out, 2, raw);
  codec::append_bytes(out, 3, "");  // contentEncoding
  codec::append_bytes(out, 4, "");  // contentType
  return out;
}

}  // namespace orch::api
