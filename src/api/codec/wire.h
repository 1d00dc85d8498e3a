// Protobuf's wire format: varints, tags, length-delimited fields.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace orch::api::codec {

enum class Wire : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void append_varint(std::string& out, uint64_t value);
inline void append_tag(std::string& out, int32_t number, Wire wire) {
  append_varint(out, static_cast<uint64_t>(number) << 3 | static_cast<uint64_t>(wire));
}
inline void append_int(std::string& out, int32_t number, int64_t value) {
  append_tag(out, number, Wire::kVarint);
  append_varint(out, static_cast<uint64_t>(value));
}
void append_bytes(std::string& out, int32_t number, std::string_view bytes);

// A nested message being written: the length goes in when it is complete.
class NestedMessage {
 public:
  NestedMessage(std::string& out, int32_t number);
  ~NestedMessage();
  NestedMessage(const NestedMessage&) = delete;
  NestedMessage& operator=(const NestedMessage&) = delete;

 private:
  std::string& out_;
  size_t begin_;
};

// Reads fields one after the other. Every read returns false at damage; error() says which.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}
  bool done() const { return at_ == end_; }
  // The next field's number and form; then exactly one of the reads below, or skip().
  bool tag();
  int32_t number() const { return number_; }
  Wire wire() const { return wire_; }
  bool varint(uint64_t& value);
  bool fixed64(uint64_t& value);
  bool bytes(std::string_view& value);
  bool skip();
  const char* error() const { return error_; }

 private:
  bool fail(const char* why) {
    error_ = why;
    return false;
  }
  const char* at_;
  const char* end_;
  int32_t number_ = 0;
  Wire wire_ = Wire::kVarint;
  const char* error_ = nullptr;
};

}  // namespace orch::api::codec
