// Protobuf's wire format for etcd's messages: each message lists its fields once, in a function
// `fields(visitor, message)`; Encoder and Decoder are the visitors. Unknown fields are passed over,
// as protobuf does. Values: int64, uint64, bool, enums as int32, strings, shared bytes, messages
// (which are always there), and vectors of them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace orch::server::etcd {

// Fields numbered from 1 on without a gap.
template <class V, class... Field>
void list(V& v, Field&... of_message) {
  int number = 0;
  (v.field(++number, of_message), ...);
}

void append_varint(std::string& out, uint64_t value);
// Puts `out`'s bytes from `start` on behind their length.
void prepend_length(std::string& out, size_t start);

class Encoder {
 public:
  explicit Encoder(std::string& out) : out_(out) {}
  template <class T>
  void field(int number, const T& value) {
    if constexpr (std::is_same_v<T, std::string>) {
      if (!value.empty()) bytes(number, value);
    } else if constexpr (std::is_same_v<T, std::shared_ptr<const std::string>>) {
      if (value && !value->empty()) bytes(number, *value);
    } else if constexpr (std::is_integral_v<T>) {
      if (value != 0) integer(number, static_cast<uint64_t>(static_cast<int64_t>(value)));
    } else if constexpr (std::is_enum_v<T>) {
      field(number, static_cast<int64_t>(value));
    } else {
      message(number, value);
    }
  }
  template <class T>
  void field(int number, const std::vector<T>& values) {
    for (const T& value : values) present(number, value, true);
  }
  // In order of the numbers, present or not: a member of a oneof, an optional message.
  template <class T>
  void present(int number, const T& value, bool is_present) {
    if (!is_present) return;
    if constexpr (std::is_integral_v<T>) {
      integer(number, static_cast<uint64_t>(static_cast<int64_t>(value)));
    } else if constexpr (std::is_same_v<T, std::string>) {
      bytes(number, value);
    } else {
      message(number, value);
    }
  }
  // A message that is there or not.
  template <class T>
  void optional(int number, const std::shared_ptr<T>& value) {
    if (value) message(number, *value);
  }

 private:
  void integer(int number, uint64_t value);
  void bytes(int number, std::string_view value);
  size_t begin(int number);
  template <class T>
  void message(int number, const T& value) {
    const size_t start = begin(number);
    fields(*this, const_cast<T&>(value));
    prepend_length(out_, start);
  }
  std::string& out_;
};

// One field of the input at a time, offered to all fields of the message.
class Decoder {
 public:
  template <class T>
  static bool decode(std::string_view in, T& message, int depth = 0) {
    if (depth > kDepthMax) return false;
    Decoder decoder;
    decoder.depth_ = depth;
    while (!in.empty()) {
      if (!decoder.next(in)) return false;
      decoder.ok_ = true;
      fields(decoder, message);
      if (!decoder.ok_) return false;
    }
    return true;
  }
  template <class T>
  void field(int number, T& value) {
    if (number != number_) return;
    if constexpr (std::is_same_v<T, std::string>) {
      if (is_bytes()) value.assign(bytes_);
    } else if constexpr (std::is_same_v<T, std::shared_ptr<const std::string>>) {
      if (is_bytes()) value = std::make_shared<const std::string>(bytes_);
    } else if constexpr (std::is_same_v<T, bool>) {
      if (is_integer()) value = integer_ != 0;
    } else if constexpr (std::is_enum_v<T> || std::is_integral_v<T>) {
      if (is_integer()) value = static_cast<T>(integer_);
    } else {
      if (is_bytes()) ok_ = ok_ && decode(bytes_, value, depth_ + 1);
    }
  }
  template <class T, class Present>
  void present(int number, T& value, Present&& is_present) {
    if (number != number_) return;
    is_present = true;
    field(number, value);
  }
  template <class T>
  void optional(int number, std::shared_ptr<T>& value) {
    if (number != number_) return;
    if (!value) value = std::make_shared<T>();
    field(number, *value);
  }
  template <class T>
  void field(int number, std::vector<T>& values) {
    if (number != number_) return;
    if constexpr (std::is_integral_v<T>) {
      // Packed or not.
      if (wire_ == 2) {
        std::string_view rest = bytes_;
        while (!rest.empty()) {
          uint64_t value = 0;
          if (!varint(rest, value)) {
            ok_ = false;
            return;
          }
          values.push_back(static_cast<T>(value));
        }
        return;
      }
    }
    values.emplace_back();
    field(number, values.back());
  }

 private:
  static constexpr int kDepthMax = 64;
  bool next(std::string_view& in);
  static bool varint(std::string_view& in, uint64_t& value);
  bool is_bytes() { return ok_ = ok_ && wire_ == 2; }
  bool is_integer() { return ok_ = ok_ && wire_ == 0; }

  int number_ = 0, wire_ = 0, depth_ = 0;
  uint64_t integer_ = 0;
  std::string_view bytes_;
  bool ok_ = true;
};

template <class T>
std::string encode(const T& message) {
  std::string out;
  Encoder encoder(out);
  fields(encoder, const_cast<T&>(message));
  return out;
}
template <class T>
bool decode(std::string_view in, T& message) {
  return Decoder::decode(in, message);
}

}  // namespace orch::server::etcd
