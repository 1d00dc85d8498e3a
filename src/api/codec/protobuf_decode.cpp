// Kubernetes protobuf to structs. Unknown fields are passed over, as Go does.
#include <bit>
#include <cstring>
#include <limits>
#include <vector>

#include "api/codec/json_text.h"
#include "api/codec/walk.h"
#include "api/codec/wire.h"
#include "orch/api/codec.h"

namespace orch::api {

namespace codec {

namespace {

constexpr int kDepthMax = 1000;
// Years 1 to 9999: what RFC 3339 can say.
constexpr int64_t kSecondsMin = -62'135'596'800;
constexpr int64_t kSecondsMax = 253'402'300'799;

struct Decoder {
  std::string error;

  bool fail(std::string why) {
    if (error.empty()) error = std::move(why);
    return false;
  }
  bool fields(std::string_view bytes, const TypeInfo& type, void* value, int depth);
  bool field(WireReader& in, const FieldInfo& field, void* member, int depth);
  bool map_entry(std::string_view bytes, const FieldInfo& field, void* map, int depth);
  bool packed(std::string_view bytes, const FieldInfo& field, void* list);
  bool value(WireReader& in, const FieldInfo& field, void* at, int depth);
  bool value_message(std::string_view bytes, const FieldInfo& field, void* at);
  bool timestamp(std::string_view bytes, const FieldInfo& field, void* at);
  bool damaged(const WireReader& in) { return fail(in.error()); }
};

bool Decoder::fields(std::string_view bytes, const TypeInfo& type, void* value, int depth) {
  if (depth > kDepthMax) return fail("exceeded max depth");
  WireReader in(bytes);
  while (!in.done()) {
    if (!in.tag()) return damaged(in);
    const FieldInfo* f = type.find_number(in.number());
    if (!f || f->proto_number == 0) {
      if (!in.skip()) return damaged(in);
    } else if (!field(in, *f, member(value, *f), depth)) {
      return false;
    }
  }
  return true;
}

bool is_integer(FieldType type) {
  return type == FieldType::kBool || type == FieldType::kInt32 || type == FieldType::kInt64;
}

bool Decoder::field(WireReader& in, const FieldInfo& field, void* member, int depth) {
  switch (field.shape) {
    case Shape::kSingle:
      return value(in, field, member, depth);
    case Shape::kOptional:
      return value(in, field, field.container->add(member, {}), depth);
    case Shape::kList:
    case Shape::kMap:
      break;
  }
  std::string_view bytes;
  if (field.shape == Shape::kMap) {
    if (in.wire() != Wire::kBytes)
      return fail("proto: wrong wireType for field " + std::string(field.json_name));
    return in.bytes(bytes) ? map_entry(bytes, field, member, depth) : damaged(in);
  }
  if (is_integer(field.type) && in.wire() == Wire::kBytes)
    return in.bytes(bytes) ? packed(bytes, field, member) : damaged(in);
  return value(in, field, field.container->add(member, {}), depth);
}

void set_integer(FieldType type, void* at, uint64_t number) {
  if (type == FieldType::kBool) get<bool>(at) = number != 0;
  if (type == FieldType::kInt32) get<int32_t>(at) = static_cast<int32_t>(number);
  if (type == FieldType::kInt64) get<int64_t>(at) = static_cast<int64_t>(number);
}

bool Decoder::packed(std::string_view bytes, const FieldInfo& field, void* list) {
  WireReader in(bytes);
  while (!in.done()) {
    uint64_t number = 0;
    if (!in.varint(number)) return damaged(in);
    set_integer(field.type, field.container->add(list, {}), number);
  }
  return true;
}

bool Decoder::map_entry(std::string_view bytes, const FieldInfo& field, void* map, int depth) {
  // The key comes first by custom only: find it, then read the value into its element.
  std::string_view key;
  for (WireReader in(bytes); !in.done();) {
    if (!in.tag()) return damaged(in);
    const bool is_key = in.number() == 1 && in.wire() == Wire::kBytes;
    if (!(is_key ? in.bytes(key) : in.skip())) return damaged(in);
  }
  void* element = field.container->add(map, key);
  for (WireReader in(bytes); !in.done();) {
    if (!in.tag()) return damaged(in);
    if (in.number() == 2) {
      if (!value(in, field, element, depth)) return false;
    } else if (!in.skip()) {
      return damaged(in);
    }
  }
  return true;
}

bool Decoder::value(WireReader& in, const FieldInfo& field, void* at, int depth) {
  const Wire wanted = is_integer(field.type)             ? Wire::kVarint
                      : field.type == FieldType::kDouble ? Wire::kFixed64
                                                         : Wire::kBytes;
  if (in.wire() != wanted)
    return fail("proto: wrong wireType = " + std::to_string(static_cast<int>(in.wire())) +
                " for field " + std::string(field.json_name));
  uint64_t number = 0;
  if (wanted == Wire::kVarint) {
    if (!in.varint(number)) return damaged(in);
    set_integer(field.type, at, number);
    return true;
  }
  if (wanted == Wire::kFixed64) {
    if (!in.fixed64(number)) return damaged(in);
    get<double>(at) = std::bit_cast<double>(number);
    return true;
  }
  std::string_view bytes;
  if (!in.bytes(bytes)) return damaged(in);
  switch (field.type) {
    case FieldType::kString:
    case FieldType::kBytes:
      get<std::string>(at) = bytes;
      return true;
    case FieldType::kMessage:
      return fields(bytes, *field.message, at, depth + 1);
    case FieldType::kTime:
    case FieldType::kMicroTime:
      return timestamp(bytes, field, at);
    default:
      return value_message(bytes, field, at);
  }
}

bool Decoder::timestamp(std::string_view bytes, const FieldInfo& field, void* at) {
  uint64_t seconds_bits = 0, nanos_bits = 0;
  for (WireReader in(bytes); !in.done();) {
    if (!in.tag()) return damaged(in);
    uint64_t* to = in.number() == 1 ? &seconds_bits : in.number() == 2 ? &nanos_bits : nullptr;
    const bool read = to && in.wire() == Wire::kVarint ? in.varint(*to) : in.skip();
    if (!read) return damaged(in);
  }
  const auto seconds = static_cast<int64_t>(seconds_bits);
  const auto nanos = static_cast<int64_t>(nanos_bits);
  if (seconds < kSecondsMin || seconds > kSecondsMax || nanos < 0 || nanos > 999'999'999)
    return fail("invalid timestamp in field " + std::string(field.json_name));
  const bool set = !bytes.empty() && (seconds != kSecondsMin || nanos != 0);
  if (field.type == FieldType::kTime) {
    auto& time = get<Time>(at);
    time.is_set = set;
    time.unix_seconds = set ? seconds : 0;
  } else {
    auto& time = get<MicroTime>(at);
    time.is_set = set;
    time.unix_micros = set ? seconds * 1'000'000 + nanos / 1000 : 0;
  }
  return true;
}

// Quantity, IntOrString, Duration, raw JSON and lists of strings.
bool Decoder::value_message(std::string_view bytes, const FieldInfo& field, void* at) {
  for (WireReader in(bytes); !in.done();) {
    if (!in.tag()) return damaged(in);
    std::string_view text;
    uint64_t number = 0;
    if (in.wire() == Wire::kBytes) {
      if (!in.bytes(text)) return damaged(in);
    } else if (in.wire() == Wire::kVarint) {
      if (!in.varint(number)) return damaged(in);
    } else {
      if (!in.skip()) return damaged(in);
      continue;
    }
    if (field.type == FieldType::kIntOrString) {
      auto& either = get<IntOrString>(at);
      if (in.number() == 1) either.is_string = number == 1;
      if (in.number() == 2) either.int_value = static_cast<int32_t>(number);
      if (in.number() == 3) either.string_value = text;
      continue;
    }
    if (in.number() != 1) continue;
    switch (field.type) {
      case FieldType::kQuantity: {
        auto parsed = Quantity::parse(text);
        if (!parsed) return fail(std::move(parsed).error());
        get<Quantity>(at) = *parsed;
        break;
      }
      case FieldType::kDuration:
        get<Duration>(at).nanos = static_cast<int64_t>(number);
        break;
      case FieldType::kRawJson:
        if (!text.starts_with(std::string_view("k8s\0", 4)) && !text.empty() && !is_json(text))
          return fail("no JSON in field " + std::string(field.json_name));
        get<RawJson>(at).text = text;
        break;
      case FieldType::kStringList:
        get<std::vector<std::string>>(at).emplace_back(text);
        break;
      default:
        break;
    }
  }
  return true;
}

}  // namespace

}  // namespace codec

Result<Unit, DecodeError> decode_protobuf(std::string_view bytes, const TypeInfo& type,
                                          void* value) {
  codec::Decoder decoder;
  if (decoder.fields(bytes, type, value, 0)) return Unit{};
  return Err(DecodeError{std::move(decoder.error)});
}

Result<Unwrapped, DecodeError> unwrap_protobuf(std::string_view bytes) {
  if (!bytes.starts_with(std::string_view("k8s\0", 4)))
    return Err(DecodeError{
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"});
  Unwrapped out;
  codec::WireReader in(bytes.substr(4));
  const auto damaged = [](const codec::WireReader& at) { return Err(DecodeError{at.error()}); };
  while (!in.done()) {
    if (!in.tag()) return damaged(in);
    if (in.wire() != codec::Wire::kBytes) {
      if (!in.skip()) return damaged(in);
      continue;
    }
    std::string_view part;
    if (!in.bytes(part)) return damaged(in);
    if (in.number() == 2) out.raw = part;
    if (in.number() == 3 && !part.empty())
      return Err(DecodeError{"unsupported content encoding: " + std::string(part)});
    if (in.number() != 1) continue;
    codec::WireReader meta(part);
    while (!meta.done()) {
      if (!meta.tag()) return damaged(meta);
      std::string_view text;
      if (meta.wire() != codec::Wire::kBytes) {
        if (!meta.skip()) return damaged(meta);
        continue;
      }
      if (!meta.bytes(text)) return damaged(meta);
      if (meta.number() == 1) out.api_version = text;
      if (meta.number() == 2) out.kind = text;
    }
  }
  return out;
}

Result<std::string, DecodeError> protobuf_to_json(std::string_view message, const TypeInfo& type) {
  const std::unique_ptr<void, void (*)(void*)> value(type.make(), type.destroy);
  ORCH_CHECK(decode_protobuf(message, type, value.get()));
  std::string out;
  encode_json(type, value.get(), out);
  return out;
}

Result<std::string, DecodeError> json_to_protobuf(std::string_view json, const TypeInfo& type) {
  const std::unique_ptr<void, void (*)(void*)> value(type.make(), type.destroy);
  ORCH_CHECK(decode_json(json, type, value.get()));
  std::string out;
  encode_protobuf(type, value.get(), out);
  return out;
}

}  // namespace orch::api
