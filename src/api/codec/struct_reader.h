// JSON events into API structs, by their field tables, without a document in between.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "orch/api/codec.h"
#include "orch/api/type_info.h"

namespace orch::api::codec {

// Receives what a JSON parser sees and fills one struct. Every function returns false to stop;
// error() says why. Not thread-safe; one use.
class StructReader {
 public:
  StructReader(const TypeInfo& type, void* value, const DecodeOptions& options);

  bool null();
  bool boolean(bool value);
  // A number: its text, and its value if it is an integer that fits, else nullptr.
  bool number(std::string_view text, const int64_t* integer);
  bool string(std::string_view text);
  bool begin(bool is_array);
  bool key(std::string_view name);
  bool end();  // of an object or an array

  const std::string& error() const { return error_; }

 private:
  enum class Kind : uint8_t { kStruct, kList, kMap, kStrings, kRaw, kSkip };
  struct Frame {
    Kind kind;
    bool is_array;           // kRaw
    const TypeInfo* type;    // kStruct
    void* target;            // the struct, container, std::vector<std::string> or RawJson
    const FieldInfo* field;  // kStruct: of the last key, nullptr if unknown; kList, kMap: its own
    int64_t index;           // kList, kStrings: of the last element
    uint64_t seen;           // kStruct: keys seen, by flattened field index
    std::string key;         // kMap: the last key
  };
  // Where the next value goes.
  struct Slot {
    const FieldInfo* field;  // nullptr: nowhere
    void* at;                // the element, or the whole member while `whole`
    bool whole;              // a list or a map of the struct itself
  };

  bool fail(std::string why);
  bool mismatch(std::string_view what, const Slot& slot);
  void finding(std::string_view what, std::string_view name);
  std::string path_to_top() const;
  Slot next_slot();
  Frame& push(Kind kind, void* target);
  bool begin_struct(const TypeInfo& type, void* value);
  bool begin_root(bool is_array);
  bool begin_container(const Slot& slot, bool is_array);
  bool begin_message(const Slot& slot, bool is_array);
  void begin_raw(RawJson& raw, bool is_array);
  bool set_text(const Slot& slot, std::string_view text);
  bool set_bytes(std::string& out, std::string_view text);
  bool set_number(const Slot& slot, std::string_view text, const int64_t* integer);
  // True when the value is swallowed by a raw or skipped part.
  bool in_raw(std::string_view text);
  bool in_skip() const { return depth_ > 0 && stack_[depth_ - 1].kind == Kind::kSkip; }
  Frame& top() { return stack_[depth_ - 1]; }

  const TypeInfo& root_;
  void* value_;
  std::vector<std::string>* findings_;
  size_t depth_max_;
  std::vector<Frame> stack_;  // the first depth_ are in use; the others keep their buffers
  size_t depth_ = 0;
  size_t structs_open_ = 0;
  std::string error_;
};

}  // namespace orch::api::codec
