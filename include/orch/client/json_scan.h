// Cuts JSON texts apart without building a document: the envelope of lists and watch events, whose
// objects are then decoded one by one. Tolerates any input: bad text gives nullopt or false, never
// an overrun; the pieces are validated by their own decoder. Stateless; any thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace orch::client {

// The text of a top-level member's value; nullopt = no object, or no such member.
std::optional<std::string_view> json_member(std::string_view object, std::string_view key);
// Visits each element's text of an array. False = not an array, or the visitor returned false.
bool json_elements(std::string_view array, const std::function<bool(std::string_view)>& visit);
// The value of a JSON string text; "" if it is none.
std::string json_unquote(std::string_view value);
std::string json_quote(std::string_view text);
// metadata.resourceVersion of an object's text; "" = none.
std::string json_resource_version(std::string_view object);

}  // namespace orch::client
