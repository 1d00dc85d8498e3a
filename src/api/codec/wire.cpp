#include "api/codec/wire.h"

#include <cstring>

namespace orch::api::codec {

namespace {

size_t write_varint(char* to, uint64_t value) {
  size_t n = 0;
  for (; value >= 0x80; value >>= 7) to[n++] = static_cast<char>(value | 0x80);
  to[n++] = static_cast<char>(value);
  return n;
}

}  // namespace

void append_varint(std::string& out, uint64_t value) {
  char buffer[10];
  out.append(buffer, write_varint(buffer, value));
}

void append_bytes(std::string& out, int32_t number, std::string_view bytes) {
  append_tag(out, number, Wire::kBytes);
  append_varint(out, bytes.size());
  out.append(bytes);
}

NestedMessage::NestedMessage(std::string& out, int32_t number) : out_(out) {
  append_tag(out, number, Wire::kBytes);
  begin_ = out.size();
  out += '\0';
}

NestedMessage::~NestedMessage() {
  char length[10];
  const size_t n = write_varint(length, out_.size() - begin_ - 1);
  if (n == 1) {
    out_[begin_] = length[0];
  } else {
    out_.replace(begin_, 1, length, n);
  }
}

bool WireReader::varint(uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (at_ == end_) return fail("unexpected EOF");
    const auto byte = static_cast<unsigned char>(*at_++);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return fail("proto: integer overflow");
}

bool WireReader::tag() {
  uint64_t tag = 0;
  if (!varint(tag)) return false;
  if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff) return fail("proto: illegal tag");
  number_ = static_cast<int32_t>(tag >> 3);
  wire_ = static_cast<Wire>(tag & 7);
  return true;
}

bool WireReader::fixed64(uint64_t& value) {
  if (end_ - at_ < 8) return fail("unexpected EOF");
  value = 0;
  for (int i = 7; i >= 0; i--) value = value << 8 | static_cast<unsigned char>(at_[i]);
  at_ += 8;
  return true;
}

bool WireReader::bytes(std::string_view& value) {
  uint64_t length = 0;
  if (!varint(length)) return false;
  if (length > static_cast<uint64_t>(end_ - at_)) return fail("unexpected EOF");
  value = {at_, static_cast<size_t>(length)};
  at_ += length;
  return true;
}

bool WireReader::skip() {
  uint64_t number;
  std::string_view text;
  switch (wire_) {
    case Wire::kVarint:
      return varint(number);
    case Wire::kFixed64:
      return fixed64(number);
    case Wire::kBytes:
      return bytes(text);
    case Wire::kFixed32:
      if (end_ - at_ < 4) return fail("unexpected EOF");
      at_ += 4;
      return true;
  }
  return fail("proto: illegal wireType");
}

}  // namespace orch::api::codec
