// Command line flags as pflag reads them: --name value, --name=value, -n value, -nvalue, -n=value,
// grouped -it, "--" ends them; flags and arguments may be mixed.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ctl/failure.h"

namespace orch::ctl {

struct Flag {
  enum class Kind { kBool, kText, kList, kOptionalText };
  std::string_view name;
  char letter = 0;  // 0 = none
  Kind kind = Kind::kText;
  std::string_view default_value = "";  // kBool: "true" or "false"
  std::string_view help = "";
  std::string_view bare_value = "";  // kOptionalText: the value of a bare --name
};

class Flags {
 public:
  // `program`: "orch ctl get", for the hint below an error.
  static Outcome<Flags> parse(const std::vector<Flag>& known, const std::vector<std::string>& args,
                              std::string_view program);

  std::string text(std::string_view name) const;  // the last one given, or the default
  bool on(std::string_view name) const;
  bool given(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }  // does the verb know it?
  // kList: every value given, in order; not split at commas.
  std::vector<std::string> list(std::string_view name) const;
  std::vector<std::string> comma_list(std::string_view name) const;  // the same, split
  // Error: `invalid argument "x" for "--tail" flag: ...`.
  Outcome<int64_t> number(std::string_view name) const;
  // "1m30s", "5s", "0", "-1s" in milliseconds.
  Outcome<int64_t> millis(std::string_view name) const;

  const std::vector<std::string>& args() const { return args_; }
  // How many arguments stood before "--"; nullopt = there was none.
  std::optional<size_t> dash_at() const { return dash_at_; }

 private:
  const Flag* find(std::string_view name) const;
  Outcome<Unit> set(const Flag& flag, std::string value);
  Outcome<Unit> parse_long(const std::vector<std::string>& args, size_t& i);
  Outcome<Unit> parse_letters(const std::vector<std::string>& args, size_t& i);

  std::vector<Flag> known_;
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
  std::vector<std::string> args_;
  std::optional<size_t> dash_at_;
};

}  // namespace orch::ctl
