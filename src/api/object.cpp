#include "orch/api/object.h"

#include <vector>

#include "api/codec/json_text.h"
#include "api/codec/walk.h"

namespace orch::api {

namespace codec {

namespace {

// Finds the first difference of two values; stops there. `where` is filled only when wanted.
struct Comparer {
  std::string* where = nullptr;
  std::string path;

  bool differ(std::string_view a, std::string_view b) {
    if (where)
      *where = (path.empty() ? "" : path + ": ") + std::string(a) + " != " + std::string(b);
    return false;
  }
  bool fields(const TypeInfo& type, const void* a, const void* b);
  bool field(const FieldInfo& field, const void* a, const void* b);
  bool element(const FieldInfo& field, const void* a, const void* b);

  template <class T>
  bool plain(const void* a, const void* b, std::string (*show)(const T&)) {
    if (get<T>(a) == get<T>(b)) return true;
    return differ(show(get<T>(a)), show(get<T>(b)));
  }
};

std::string quote(const std::string& text) {
  std::string out;
  append_string(out, text);
  return out;
}

std::string show_strings(const std::vector<std::string>& list) {
  std::string out = "[";
  for (const std::string& text : list) out += (out.size() > 1 ? "," : "") + quote(text);
  return out + "]";
}

bool Comparer::element(const FieldInfo& field, const void* a, const void* b) {
  switch (field.type) {
    case FieldType::kString:
    case FieldType::kBytes:
      return plain<std::string>(a, b, quote);
    case FieldType::kBool:
      return plain<bool>(a, b, [](const bool& v) { return std::string(v ? "true" : "false"); });
    case FieldType::kInt32:
      return plain<int32_t>(a, b, [](const int32_t& v) { return std::to_string(v); });
    case FieldType::kInt64:
      return plain<int64_t>(a, b, [](const int64_t& v) { return std::to_string(v); });
    case FieldType::kDouble:
      return plain<double>(a, b, [](const double& v) { return std::to_string(v); });
    case FieldType::kMessage:
      return fields(*field.message, a, b);
    case FieldType::kQuantity:
      return plain<Quantity>(a, b, [](const Quantity& v) { return v.str(); });
    case FieldType::kIntOrString:
      return plain<IntOrString>(
          a, b, [](const IntOrString& v) { return v.is_string ? quote(v.str()) : v.str(); });
    case FieldType::kTime:
      return plain<Time>(a, b, [](const Time& v) { return v.str(); });
    case FieldType::kMicroTime:
      return plain<MicroTime>(a, b, [](const MicroTime& v) { return v.str(); });
    case FieldType::kDuration:
      return plain<Duration>(a, b, [](const Duration& v) { return v.str(); });
    case FieldType::kRawJson:
      return plain<RawJson>(a, b, [](const RawJson& v) { return v.text; });
    case FieldType::kStringList:
      return plain<std::vector<std::string>>(a, b, show_strings);
  }
  return true;
}

struct Element {
  std::string_view key;
  const void* at;
};

bool Comparer::field(const FieldInfo& field, const void* a, const void* b) {
  if (field.shape == Shape::kSingle) return element(field, a, b);
  const size_t size_a = field.container->size(a), size_b = field.container->size(b);
  if (size_a != size_b) {
    if (field.shape == Shape::kOptional)
      return differ(size_a ? "set" : "unset", size_b ? "set" : "unset");
    return differ(std::to_string(size_a) + " elements", std::to_string(size_b) + " elements");
  }
  if (size_a == 0) return true;
  std::vector<Element> elements;
  elements.reserve(size_a);
  field.container->for_each(a, &elements, [](void* c, std::string_view key, const void* at) {
    static_cast<std::vector<Element>*>(c)->push_back({key, at});
  });
  struct Context {
    Comparer& comparer;
    const FieldInfo& field;
    const std::vector<Element>& elements;
    size_t index = 0;
    bool same = true;
  } context{*this, field, elements};
  field.container->for_each(b, &context, [](void* c, std::string_view key, const void* at) {
    auto& ctx = *static_cast<Context*>(c);
    if (!ctx.same) return;
    const Element& left = ctx.elements[ctx.index];
    Comparer& self = ctx.comparer;
    if (left.key != key) {
      ctx.same = self.differ("key " + std::string(left.key), "key " + std::string(key));
      return;
    }
    const size_t length = self.path.size();
    if (self.where && ctx.field.shape == Shape::kList)
      self.path += "[" + std::to_string(ctx.index) + "]";
    if (self.where && ctx.field.shape == Shape::kMap) self.path += "[" + std::string(key) + "]";
    ctx.same = self.element(ctx.field, left.at, at);
    self.path.resize(length);
    ctx.index++;
  });
  return context.same;
}

bool Comparer::fields(const TypeInfo& type, const void* a, const void* b) {
  for (const FieldInfo& f : type.fields) {
    const size_t length = path.size();
    if (where && !f.inlined) {
      if (!path.empty()) path += '.';
      path += f.json_name;
    }
    const bool same = field(f, member(a, f), member(b, f));
    path.resize(length);
    if (!same) return false;
  }
  return true;
}

}  // namespace

}  // namespace codec

bool equal(const TypeInfo& type, const void* a, const void* b) {
  return codec::Comparer{}.fields(type, a, b);
}

std::string first_difference(const TypeInfo& type, const void* a, const void* b) {
  std::string where;
  codec::Comparer{&where, {}}.fields(type, a, b);
  return where;
}

}  // namespace orch::api
