#include "api/codec/struct_reader.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "api/codec/go_types.h"
#include "api/codec/json_text.h"
#include "api/codec/walk.h"
#include "orch/base/strings.h"

namespace orch::api::codec {

namespace {

constexpr size_t kFindingsMax = 100;
// Structs within structs. Only JSON schemas nest without end; walkers recurse over them.
constexpr size_t kStructsMax = 1000;

// Of the field called `name`, inlined structs included; `index` counts fields in table order.
const FieldInfo* find_field(const TypeInfo& type, std::string_view name, unsigned& index) {
  for (const FieldInfo& field : type.fields) {
    if (field.inlined) {
      if (const FieldInfo* found = find_field(*field.message, name, index)) return found;
      continue;
    }
    if (field.json_name == name) return &field;
    index++;
  }
  return nullptr;
}

// Types with an UnmarshalJSON of their own read their value apart from its place.
std::string go_value_error(std::string_view what, std::string_view type) {
  return "json: cannot unmarshal " + std::string(what) + " into Go value of type " +
         std::string(type);
}

constexpr const char* kQuantityError =
    "quantities must match the regular expression "
    "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

}  // namespace

StructReader::StructReader(const TypeInfo& type, void* value, const DecodeOptions& options)
    : root_(type),
      value_(value),
      findings_(options.strict_findings),
      depth_max_(static_cast<size_t>(options.depth_max)) {}

bool StructReader::fail(std::string why) {
  error_ = std::move(why);
  return false;
}

bool StructReader::mismatch(std::string_view what, const Slot& slot) {
  const FieldInfo& field = *slot.field;
  switch (slot.whole ? FieldType::kMessage : field.type) {
    case FieldType::kQuantity:
      return fail(kQuantityError);
    case FieldType::kIntOrString:
      return fail(go_value_error(what, "int32"));
    case FieldType::kTime:
    case FieldType::kMicroTime:
    case FieldType::kDuration:
      return fail(go_value_error(what.substr(0, what.find(' ')), "string"));
    default:
      break;
  }
  std::string type = go_element_type(field, GoTypes::kVersioned);
  if (slot.whole) type = (field.shape == Shape::kList ? "[]" : "map[string]") + type;
  std::string names;
  const TypeInfo* owner = &root_;
  for (size_t i = 0; i < depth_; i++) {
    if (stack_[i].kind != Kind::kStruct) continue;
    owner = stack_[i].type;
    if (!stack_[i].field) continue;
    if (!names.empty()) names += '.';
    names += stack_[i].field->json_name;
  }
  return fail("json: cannot unmarshal " + std::string(what) + " into Go struct field " +
              std::string(owner->name) + "." + names + " of type " + type);
}

std::string StructReader::path_to_top() const {
  std::string path;
  for (size_t i = 0; i + 1 < depth_; i++) {
    const Frame& frame = stack_[i];
    if (frame.kind == Kind::kList || frame.kind == Kind::kStrings) {
      path += '[' + std::to_string(frame.index) + ']';
      continue;
    }
    if (!path.empty()) path += '.';
    path += frame.kind == Kind::kMap ? std::string_view(frame.key) : frame.field->json_name;
  }
  return path;
}

void StructReader::finding(std::string_view what, std::string_view name) {
  if (!findings_ || findings_->size() >= kFindingsMax) return;
  std::string path = path_to_top();
  if (!path.empty()) path += '.';
  path += name;
  std::string text = std::string(what) + " field \"" + path + "\"";
  if (std::find(findings_->begin(), findings_->end(), text) == findings_->end())
    findings_->push_back(std::move(text));
}

StructReader::Frame& StructReader::push(Kind kind, void* target) {
  if (depth_ == stack_.size()) stack_.emplace_back();
  Frame& frame = stack_[depth_++];
  frame.kind = kind;
  frame.is_array = false;
  frame.type = nullptr;
  frame.target = target;
  frame.field = nullptr;
  frame.index = -1;
  frame.seen = 0;
  return frame;
}

bool StructReader::in_raw(std::string_view text) {
  if (depth_ == 0 || top().kind != Kind::kRaw) return false;
  std::string& raw = get<RawJson>(top().target).text;
  const char last = raw.empty() ? '[' : raw.back();
  if (last != '[' && last != '{' && last != ':') raw += ',';
  raw += text;
  return true;
}

StructReader::Slot StructReader::next_slot() {
  Frame& frame = top();
  switch (frame.kind) {
    case Kind::kStruct: {
      if (!frame.field) return {nullptr, nullptr, false};
      void* at = member(frame.target, *frame.field);
      if (frame.field->shape == Shape::kOptional) at = frame.field->container->add(at, {});
      const bool whole = frame.field->shape == Shape::kList || frame.field->shape == Shape::kMap;
      return {frame.field, at, whole};
    }
    case Kind::kList:
      frame.index++;
      return {frame.field, frame.field->container->add(frame.target, {}), false};
    case Kind::kMap:
      return {frame.field, frame.field->container->add(frame.target, frame.key), false};
    default:
      return {nullptr, nullptr, false};
  }
}

bool StructReader::null() {
  if (in_raw("null") || in_skip()) return true;
  if (depth_ == 0) return true;
  Frame& frame = top();
  if (frame.kind == Kind::kStrings) {
    frame.index++;
    get<std::vector<std::string>>(frame.target).emplace_back();
  } else if (frame.kind == Kind::kStruct) {
    if (frame.field && frame.field->shape != Shape::kSingle)
      frame.field->container->clear(member(frame.target, *frame.field));
  } else {
    next_slot();
  }
  return true;
}

bool StructReader::boolean(bool value) {
  if (in_raw(value ? "true" : "false") || in_skip()) return true;
  if (depth_ == 0) return fail(go_value_error("bool", root_.name));
  if (top().kind == Kind::kStrings) return fail(go_value_error("bool", "string"));
  const Slot slot = next_slot();
  if (!slot.field) return true;
  if (!slot.whole) {
    if (slot.field->type == FieldType::kBool) {
      get<bool>(slot.at) = value;
      return true;
    }
    if (slot.field->type == FieldType::kRawJson) {
      get<RawJson>(slot.at).text = value ? "true" : "false";
      return true;
    }
    if (slot.field->type == FieldType::kMessage &&
        slot.field->message->json_form == JsonForm::kSchemaOrBool) {
      get<bool>(member(slot.at, slot.field->message->fields[0])) = value;
      return true;
    }
  }
  return mismatch("bool", slot);
}

bool StructReader::number(std::string_view text, const int64_t* integer) {
  if (in_raw(text) || in_skip()) return true;
  if (depth_ == 0) return fail(go_value_error("number", root_.name));
  if (top().kind == Kind::kStrings) return fail(go_value_error("number", "string"));
  const Slot slot = next_slot();
  if (!slot.field) return true;
  return slot.whole ? mismatch("number", slot) : set_number(slot, text, integer);
}

bool StructReader::set_number(const Slot& slot, std::string_view text, const int64_t* integer) {
  const bool fits = integer && *integer >= std::numeric_limits<int32_t>::min() &&
                    *integer <= std::numeric_limits<int32_t>::max();
  switch (slot.field->type) {
    case FieldType::kInt32:
      if (!fits) return mismatch("number " + std::string(text), slot);
      get<int32_t>(slot.at) = static_cast<int32_t>(*integer);
      return true;
    case FieldType::kInt64:
      if (!integer) return mismatch("number " + std::string(text), slot);
      get<int64_t>(slot.at) = *integer;
      return true;
    case FieldType::kDouble:
      std::from_chars(text.data(), text.data() + text.size(), get<double>(slot.at));
      return true;
    case FieldType::kIntOrString:
      if (!fits) return fail(go_value_error("number " + std::string(text), "int32"));
      get<IntOrString>(slot.at) = IntOrString(static_cast<int32_t>(*integer));
      return true;
    case FieldType::kQuantity:
      return set_text(slot, text);
    case FieldType::kRawJson:
      get<RawJson>(slot.at).text = text;
      return true;
    default:
      return mismatch("number", slot);
  }
}

bool StructReader::string(std::string_view text) {
  if (in_skip()) return true;
  if (depth_ == 0) return fail(go_value_error("string", root_.name));
  if (top().kind == Kind::kRaw) {
    in_raw("");
    append_string(get<RawJson>(top().target).text, text);
    return true;
  }
  if (top().kind == Kind::kStrings) {
    top().index++;
    get<std::vector<std::string>>(top().target).emplace_back(text);
    return true;
  }
  const Slot slot = next_slot();
  if (!slot.field) return true;
  // []byte in a list's place is a base64 string, and so is a whole field of that type.
  return slot.whole ? mismatch("string", slot) : set_text(slot, text);
}

bool StructReader::set_text(const Slot& slot, std::string_view text) {
  auto take = [&](auto parsed) {
    if (!parsed) return fail(std::move(parsed).error());
    get<std::decay_t<decltype(*parsed)>>(slot.at) = std::move(parsed).value();
    return true;
  };
  switch (slot.field->type) {
    case FieldType::kString:
      get<std::string>(slot.at) = text;
      return true;
    case FieldType::kBytes:
      return set_bytes(get<std::string>(slot.at), text);
    case FieldType::kQuantity:
      return take(Quantity::parse(trim(text)));
    case FieldType::kIntOrString:
      get<IntOrString>(slot.at) = IntOrString(std::string(text));
      return true;
    case FieldType::kTime:
      return take(Time::parse(text));
    case FieldType::kMicroTime:
      return take(MicroTime::parse(text));
    case FieldType::kDuration:
      return take(Duration::parse(text));
    case FieldType::kRawJson: {
      std::string& raw = get<RawJson>(slot.at).text;
      raw.clear();
      append_string(raw, text);
      return true;
    }
    default:
      return mismatch("string", slot);
  }
}

bool StructReader::set_bytes(std::string& out, std::string_view text) {
  std::string kept;
  if (text.find_first_of("\r\n") != std::string_view::npos) {
    for (char c : text)
      if (c != '\r' && c != '\n') kept += c;
    text = kept;
  }
  auto decoded = base64_decode(text);
  if (decoded) {
    out = std::move(*decoded);
    return true;
  }
  size_t at =
      text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
  if (at == std::string_view::npos || text[at] == '=') at = text.size() / 4 * 4;
  return fail("illegal base64 data at input byte " + std::to_string(at));
}

bool StructReader::begin(bool is_array) {
  if (depth_ >= depth_max_) return fail("exceeded max depth");
  if (depth_ == 0) return begin_root(is_array);
  switch (top().kind) {
    case Kind::kSkip:
      push(Kind::kSkip, nullptr);
      return true;
    case Kind::kRaw: {
      in_raw(is_array ? "[" : "{");
      void* raw = top().target;
      push(Kind::kRaw, raw).is_array = is_array;
      return true;
    }
    case Kind::kStrings:
      return fail(go_value_error(is_array ? "array" : "object", "string"));
    default:
      break;
  }
  const Slot slot = next_slot();
  if (!slot.field) {
    push(Kind::kSkip, nullptr);
    return true;
  }
  if (slot.whole) return begin_container(slot, is_array);
  switch (slot.field->type) {
    case FieldType::kMessage:
      return begin_message(slot, is_array);
    case FieldType::kRawJson:
      begin_raw(get<RawJson>(slot.at), is_array);
      return true;
    case FieldType::kStringList:
      if (!is_array) break;
      get<std::vector<std::string>>(slot.at).clear();
      push(Kind::kStrings, slot.at);
      return true;
    default:
      break;
  }
  return mismatch(is_array ? "array" : "object", slot);
}

bool StructReader::begin_root(bool is_array) {
  if (is_array) {
    return fail(go_value_error("array", go_type(root_, GoTypes::kVersioned)));
  }
  return begin_struct(root_, value_);
}

bool StructReader::begin_struct(const TypeInfo& type, void* value) {
  if (structs_open_ == kStructsMax) return fail("exceeded max depth");
  structs_open_++;
  push(Kind::kStruct, value).type = &type;
  return true;
}

void StructReader::begin_raw(RawJson& raw, bool is_array) {
  raw.text = is_array ? "[" : "{";
  push(Kind::kRaw, &raw).is_array = is_array;
}

bool StructReader::begin_container(const Slot& slot, bool is_array) {
  const bool list = slot.field->shape == Shape::kList;
  if (list != is_array) return mismatch(is_array ? "array" : "object", slot);
  if (list) slot.field->container->clear(slot.at);
  push(list ? Kind::kList : Kind::kMap, slot.at).field = slot.field;
  return true;
}

bool StructReader::begin_message(const Slot& slot, bool is_array) {
  const TypeInfo& type = *slot.field->message;
  if (type.json_form == JsonForm::kObject) {
    if (is_array) return mismatch("array", slot);
    return begin_struct(type, slot.at);
  }
  const bool or_bool = type.json_form == JsonForm::kSchemaOrBool;
  if (is_array) {
    if (or_bool) return mismatch("array", slot);
    const FieldInfo& list = type.fields[1];
    return begin_container({&list, member(slot.at, list), true}, true);
  }
  if (or_bool) get<bool>(member(slot.at, type.fields[0])) = true;
  const FieldInfo& schema = type.fields[or_bool ? 1 : 0];
  void* at = schema.container->add(member(slot.at, schema), {});
  return begin_struct(*schema.message, at);
}

bool StructReader::key(std::string_view name) {
  Frame& frame = top();
  switch (frame.kind) {
    case Kind::kRaw: {
      in_raw("");
      std::string& raw = get<RawJson>(frame.target).text;
      append_string(raw, name);
      raw += ':';
      return true;
    }
    case Kind::kMap:
      frame.key = name;
      if (findings_) {
        const size_t before = frame.field->container->size(frame.target);
        frame.field->container->add(frame.target, name);
        if (frame.field->container->size(frame.target) == before) finding("duplicate", name);
      }
      return true;
    case Kind::kStruct:
      break;
    default:
      return true;
  }
  unsigned index = 0;
  frame.field = find_field(*frame.type, name, index);
  if (!findings_) return true;
  if (!frame.field) {
    const bool type_meta = !frame.type->kind.empty() && (name == "kind" || name == "apiVersion");
    if (!type_meta) {
      finding("unknown", name);
      return true;
    }
    index = name == "kind" ? 62 : 63;
  }
  const uint64_t bit = uint64_t{1} << (index & 63);
  if (frame.seen & bit) finding("duplicate", name);
  frame.seen |= bit;
  return true;
}

bool StructReader::end() {
  const Frame& frame = top();
  if (frame.kind == Kind::kRaw) get<RawJson>(frame.target).text += frame.is_array ? ']' : '}';
  if (frame.kind == Kind::kStruct) structs_open_--;
  depth_--;
  return true;
}

}  // namespace orch::api::codec
