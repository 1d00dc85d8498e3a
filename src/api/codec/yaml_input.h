// The text of a YAML document as yaml-cpp reads it, line by line, under a limit of lookahead.
//
// yaml-cpp keeps every token it has read until it knows whether a flow collection ("[...]",
// "{...}") is a map's key, and a token takes some hundred times the space of its "[" or ",". So
// what has been read since the last parsing event may hold only so many characters that make
// tokens. Text of block scalars ("|", ">") makes none and is not counted.
#pragma once

#include <stdexcept>
#include <streambuf>
#include <string>
#include <string_view>

namespace orch::api::codec {

// Thrown out of the parser, which knows it as std::exception.
class TooMuchYaml : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What is wrong with the text's characters ("control characters are not allowed"), "" = nothing.
std::string check_yaml_characters(std::string_view text);

// One document; used by one thread. Does not own the text.
class YamlInput final : public std::streambuf {
 public:
  explicit YamlInput(std::string_view text);
  // The parser got on to its next event; `in_flow`: within a flow collection.
  void parsed(bool in_flow);

 protected:
  int_type underflow() override;
  std::streamsize xsgetn(char* to, std::streamsize max) override;

 private:
  void next_line();

  std::string_view rest_;
  size_t tokens_ = 0;          // that the text since the last event may have made
  int64_t nesting_ = 0;        // of brackets in it, roughly
  bool block_header_ = false;  // the line last read ends like "key: |"
  bool block_ = false;         // what follows is a block scalar's text
};

}  // namespace orch::api::codec
