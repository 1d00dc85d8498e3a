#include "ctl/flags.h"

#include <fmt/format.h>

#include <algorithm>

#include "orch/api/value.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

std::optional<bool> parse_bool(std::string_view text) {
  for (std::string_view yes : {"true", "TRUE", "True", "1", "t", "T"}) {
    if (text == yes) return true;
  }
  for (std::string_view no : {"false", "FALSE", "False", "0", "f", "F"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

}  // namespace

Outcome<Flags> Flags::parse(const std::vector<Flag>& known, const std::vector<std::string>& args,
                            std::string_view program) {
  Flags flags;
  flags.known_ = known;
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (arg == "--") {
      flags.dash_at_ = flags.args_.size();
      flags.args_.insert(flags.args_.end(), args.begin() + static_cast<long>(i) + 1, args.end());
      break;
    }
    if (arg.size() < 2 || arg[0] != '-') {
      flags.args_.push_back(arg);
      continue;
    }
    auto done = arg[1] == '-' ? flags.parse_long(args, i) : flags.parse_letters(args, i);
    if (!done) {
      Failure failure = std::move(done).error();
      failure.message += fmt::format("\nSee '{} --help' for usage.", program);
      return Err(std::move(failure));
    }
  }
  return flags;
}

const Flag* Flags::find(std::string_view name) const {
  auto it =
      std::find_if(known_.begin(), known_.end(), [&](const Flag& f) { return f.name == name; });
  return it == known_.end() ? nullptr : &*it;
}

Outcome<Unit> Flags::set(const Flag& flag, std::string value) {
  if (flag.kind == Flag::Kind::kBool && !parse_bool(value)) {
    return Err(error(fmt::format(
        "invalid argument \"{}\" for \"{}--{}\" flag: strconv.ParseBool: parsing \"{}\": invalid "
        "syntax",
        value, flag.letter != 0 ? fmt::format("-{}, ", flag.letter) : "", flag.name, value)));
  }
  values_[std::string(flag.name)].push_back(std::move(value));
  return Unit{};
}

Outcome<Unit> Flags::parse_long(const std::vector<std::string>& args, size_t& i) {
  const std::string_view arg = std::string_view(args[i]).substr(2);
  const size_t equals = arg.find('=');
  const std::string_view name = arg.substr(0, equals);
  if (name.empty() || name[0] == '-') {
    return Err(error(fmt::format("bad flag syntax: {}", args[i])));
  }
  const Flag* flag = find(name);
  if (flag == nullptr) return Err(error(fmt::format("unknown flag: --{}", name)));
  if (equals != std::string_view::npos) return set(*flag, std::string(arg.substr(equals + 1)));
  if (flag->kind == Flag::Kind::kBool) return set(*flag, "true");
  if (flag->kind == Flag::Kind::kOptionalText) return set(*flag, std::string(flag->bare_value));
  if (i + 1 >= args.size()) {
    return Err(error(fmt::format("flag needs an argument: --{}", name)));
  }
  return set(*flag, args[++i]);
}

Outcome<Unit> Flags::parse_letters(const std::vector<std::string>& args, size_t& i) {
  const std::string& arg = args[i];
  for (size_t at = 1; at < arg.size(); ++at) {
    const char letter = arg[at];
    auto flag = std::find_if(known_.begin(), known_.end(),
                             [&](const Flag& f) { return f.letter == letter; });
    if (flag == known_.end()) {
      return Err(
          error(fmt::format("unknown shorthand flag: '{}' in {}", letter, "-" + arg.substr(at))));
    }
    std::string rest = arg.substr(at + 1);
    if (!rest.empty() && rest[0] == '=') return set(*flag, rest.substr(1));
    if (flag->kind == Flag::Kind::kBool) {
      ORCH_CHECK(set(*flag, "true"));
      continue;
    }
    if (!rest.empty()) return set(*flag, std::move(rest));
    if (i + 1 >= args.size()) {
      return Err(error(fmt::format("flag needs an argument: '{}' in -{}", letter, letter)));
    }
    return set(*flag, args[++i]);
  }
  return Unit{};
}

std::string Flags::text(std::string_view name) const {
  if (auto it = values_.find(name); it != values_.end()) return it->second.back();
  const Flag* flag = find(name);
  return flag == nullptr ? "" : std::string(flag->default_value);
}

bool Flags::on(std::string_view name) const { return parse_bool(text(name)).value_or(false); }

bool Flags::given(std::string_view name) const { return values_.contains(name); }

std::vector<std::string> Flags::list(std::string_view name) const {
  auto it = values_.find(name);
  return it == values_.end() ? std::vector<std::string>{} : it->second;
}

std::vector<std::string> Flags::comma_list(std::string_view name) const {
  std::vector<std::string> out;
  for (const std::string& given : list(name)) {
    for (std::string& part : split(given, ',')) out.push_back(std::move(part));
  }
  return out;
}

Outcome<int64_t> Flags::number(std::string_view name) const {
  const std::string value = text(name);
  if (auto number = parse_int(value)) return *number;
  return Err(error(fmt::format(
      "invalid argument \"{}\" for \"--{}\" flag: strconv.ParseInt: parsing \"{}\": invalid syntax",
      value, name, value)));
}

Outcome<int64_t> Flags::millis(std::string_view name) const {
  const std::string value = text(name);
  if (auto seconds = parse_int(value)) return *seconds * 1000;  // kubectl: a bare number is seconds
  auto duration = api::Duration::parse(value);
  if (duration) return duration->nanos / 1'000'000;
  return Err(
      error(fmt::format("invalid argument \"{}\" for \"--{}\" flag: time: invalid duration \"{}\"",
                        value, name, value)));
}

}  // namespace orch::ctl
