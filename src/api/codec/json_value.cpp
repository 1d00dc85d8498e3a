#include "orch/api/json_value.h"

#include <nlohmann/json.hpp>

namespace orch::api {

using Json = nlohmann::ordered_json;

struct JsonValue::Impl {
  Json json;
};

JsonValue::JsonValue() : impl_(std::make_unique<Impl>()) {}
JsonValue::JsonValue(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
JsonValue::JsonValue(std::string_view text) : impl_(new Impl{Json(std::string(text))}) {}
JsonValue::JsonValue(int64_t number) : impl_(new Impl{Json(number)}) {}
JsonValue::JsonValue(bool value) : impl_(new Impl{Json(value)}) {}
JsonValue::JsonValue(const JsonValue& other) : impl_(new Impl{other.impl_->json}) {}
JsonValue::JsonValue(JsonValue&&) noexcept = default;
JsonValue& JsonValue::operator=(const JsonValue& other) {
  if (this != &other) impl_ = std::make_unique<Impl>(Impl{other.impl_->json});
  return *this;
}
JsonValue& JsonValue::operator=(JsonValue&&) noexcept = default;
JsonValue::~JsonValue() = default;

JsonValue JsonValue::object() { return JsonValue(std::unique_ptr<Impl>(new Impl{Json::object()})); }
JsonValue JsonValue::array() { return JsonValue(std::unique_ptr<Impl>(new Impl{Json::array()})); }

Result<JsonValue, std::string> JsonValue::parse(std::string_view text) {
  try {
    return JsonValue(std::unique_ptr<Impl>(new Impl{Json::parse(text)}));
  } catch (const Json::exception& e) {
    return Err(std::string(e.what()));
  }
}

std::string JsonValue::dump(int indent) const {
  return impl_->json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string JsonValue::dump_go(int indent) const {
  const std::string plain = nlohmann::json(impl_->json)
                                .dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
  std::string out;
  out.reserve(plain.size());
  for (char c : plain) {  // outside strings none of the three occurs
    if (c == '<') {
      out += "\\u003c";
    } else if (c == '>') {
      out += "\\u003e";
    } else if (c == '&') {
      out += "\\u0026";
    } else {
      out += c;
    }
  }
  return out;
}

bool JsonValue::is_null() const { return impl_->json.is_null(); }
bool JsonValue::is_object() const { return impl_->json.is_object(); }
bool JsonValue::is_array() const { return impl_->json.is_array(); }
bool JsonValue::is_string() const { return impl_->json.is_string(); }
bool JsonValue::is_number() const { return impl_->json.is_number(); }
bool JsonValue::is_boolean() const { return impl_->json.is_boolean(); }
size_t JsonValue::size() const { return impl_->json.size(); }

std::string JsonValue::text() const {
  const Json& json = impl_->json;
  if (json.is_string()) return json.get<std::string>();
  if (json.is_boolean() || json.is_number()) return json.dump();
  return "";
}
int64_t JsonValue::number(int64_t fallback) const {
  return impl_->json.is_number() ? impl_->json.get<int64_t>() : fallback;
}
bool JsonValue::boolean() const { return impl_->json.is_boolean() && impl_->json.get<bool>(); }

JsonValue JsonValue::get(std::string_view key) const {
  if (!impl_->json.is_object()) return {};
  auto it = impl_->json.find(std::string(key));
  if (it == impl_->json.end()) return {};
  return JsonValue(std::unique_ptr<Impl>(new Impl{*it}));
}

JsonValue JsonValue::at(std::string_view path) const {
  const Json* json = &impl_->json;
  while (!path.empty()) {
    const size_t dot = path.find('.');
    if (!json->is_object()) return {};
    auto it = json->find(std::string(path.substr(0, dot)));
    if (it == json->end()) return {};
    json = &*it;
    path = dot == std::string_view::npos ? "" : path.substr(dot + 1);
  }
  return JsonValue(std::unique_ptr<Impl>(new Impl{*json}));
}

bool JsonValue::has(std::string_view key) const {
  return impl_->json.is_object() && impl_->json.contains(std::string(key));
}

std::vector<JsonValue> JsonValue::items() const {
  std::vector<JsonValue> out;
  if (!impl_->json.is_array()) return out;
  for (const auto& item : impl_->json)
    out.push_back(JsonValue(std::unique_ptr<Impl>(new Impl{item})));
  return out;
}

std::vector<std::pair<std::string, JsonValue>> JsonValue::members() const {
  std::vector<std::pair<std::string, JsonValue>> out;
  if (!impl_->json.is_object()) return out;
  for (const auto& [key, value] : impl_->json.items()) {
    out.emplace_back(key, JsonValue(std::unique_ptr<Impl>(new Impl{value})));
  }
  return out;
}

void JsonValue::set(std::string_view key, JsonValue value) {
  if (!impl_->json.is_object()) impl_->json = Json::object();
  impl_->json[std::string(key)] = std::move(value.impl_->json);
}

void JsonValue::set_at(std::string_view path, JsonValue value) {
  Json* json = &impl_->json;
  for (;;) {
    if (!json->is_object()) *json = Json::object();
    const size_t dot = path.find('.');
    json = &(*json)[std::string(path.substr(0, dot))];
    if (dot == std::string_view::npos) break;
    path = path.substr(dot + 1);
  }
  *json = std::move(value.impl_->json);
}

void JsonValue::erase(std::string_view key) {
  if (impl_->json.is_object()) impl_->json.erase(std::string(key));
}

void JsonValue::push_back(JsonValue value) {
  if (!impl_->json.is_array()) impl_->json = Json::array();
  impl_->json.push_back(std::move(value.impl_->json));
}

bool JsonValue::operator==(const JsonValue& other) const {
  // Order of keys does not matter to JSON.
  return nlohmann::json(impl_->json) == nlohmann::json(other.impl_->json);
}

}  // namespace orch::api
