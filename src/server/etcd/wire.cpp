#include "server/etcd/wire.h"

namespace orch::server::etcd {

namespace {

size_t put_varint(char* out, uint64_t value) {
  size_t size = 0;
  for (; value >= 0x80; value >>= 7) out[size++] = static_cast<char>(value | 0x80);
  out[size++] = static_cast<char>(value);
  return size;
}

}  // namespace

void append_varint(std::string& out, uint64_t value) {
  char bytes[10];
  out.append(bytes, put_varint(bytes, value));
}

void prepend_length(std::string& out, size_t start) {
  char bytes[10];
  const size_t size = put_varint(bytes, out.size() - start);
  // begin() left room for one byte, which is enough for most.
  out[start - 1] = bytes[0];
  if (size > 1) out.insert(start, bytes + 1, size - 1);
}

size_t Encoder::begin(int number) {
  append_varint(out_, static_cast<uint64_t>(number) << 3 | 2);
  out_ += '\0';
  return out_.size();
}

void Encoder::integer(int number, uint64_t value) {
  append_varint(out_, static_cast<uint64_t>(number) << 3);
  append_varint(out_, value);
}

void Encoder::bytes(int number, std::string_view value) {
  append_varint(out_, static_cast<uint64_t>(number) << 3 | 2);
  append_varint(out_, value.size());
  out_.append(value);
}

bool Decoder::varint(std::string_view& in, uint64_t& value) {
  value = 0;
  for (size_t i = 0; i < in.size() && i < 10; ++i) {
    const auto byte = static_cast<unsigned char>(in[i]);
    if (i == 9 && byte > 1) return false;
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      in.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

bool Decoder::next(std::string_view& in) {
  uint64_t tag = 0;
  if (!varint(in, tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff) return false;
  number_ = static_cast<int>(tag >> 3);
  wire_ = static_cast<int>(tag & 7);
  size_t size = 0;
  switch (wire_) {
    case 0:
      return varint(in, integer_);
    case 1:
      size = 8;
      break;
    case 5:
      size = 4;
      break;
    case 2: {
      uint64_t length = 0;
      if (!varint(in, length) || length > in.size()) return false;
      size = static_cast<size_t>(length);
      break;
    }
    default:
      return false;  // groups are not used
  }
  if (size > in.size()) return false;
  bytes_ = in.substr(0, size);
  in.remove_prefix(size);
  return true;
}

}  // namespace orch::server::etcd
