// completion: scripts for shells, which ask `__complete WORD...` for what may come next.
#include <fmt/format.h>

#include <set>

#include "ctl/printers/output.h"
#include "ctl/session.h"
#include "orch/base/strings.h"

namespace orch::ctl {

#define ORCH_VERB(name) Verb name##_verb();
#include "ctl/verbs/verbs.def"
#undef ORCH_VERB

namespace {

using api::JsonValue;

// {0}: the program as typed, {1}: the same as a shell function's name.
constexpr char kBash[] = R"(# bash completion for {0}
_{1}_complete() {{
  local words=("${{COMP_WORDS[@]:{2}:COMP_CWORD-{3}}}")
  COMPREPLY=($({0} __complete "${{words[@]}}" 2>/dev/null))
}}
complete -o default -F _{1}_complete {4}
)";
constexpr char kZsh[] = R"(#compdef {4}
_{1}_complete() {{
  local -a found
  found=("${{(@f)$({0} __complete "${{words[@]:{2}:CURRENT-{2}}}" 2>/dev/null)}}")
  compadd -a found
}}
compdef _{1}_complete {4}
)";
constexpr char kFish[] = R"(# fish completion for {0}
complete -c {4} -f -a '({0} __complete (commandline -opc)[{5}..] (commandline -ct) 2>/dev/null)'
)";

Outcome<int> run(Session& session) {
  const auto& args = session.flags.args();
  const std::string shell = args.empty() ? "" : args[0];
  const char* script = shell == "bash"   ? kBash
                       : shell == "zsh"  ? kZsh
                       : shell == "fish" ? kFish
                                         : nullptr;
  if (script == nullptr) {
    return Err(error(shell.empty()
                         ? fmt::format("shell not specified\nSee '{} completion -h' for "
                                       "help and examples",
                                       session.program)
                         : fmt::format("unsupported shell type \"{}\"\nSee '{} completion "
                                       "-h' for help and examples",
                                       shell, session.program)));
  }
  // "orch ctl" is two words of the command line, "kubectl" one.
  const auto words = split(session.program, ' ');
  std::string function = session.program;
  for (char& c : function) {
    if (c == ' ') c = '_';
  }
  fmt::print("{}", fmt::format(fmt::runtime(script), session.program, function, words.size(),
                               words.size() - 1, words[0], words.size() + 1));
  return 0;
}

Outcome<Unit> add_types(Session& session, std::set<std::string>& out) {
  ORCH_TRY(const Discovery* known, session.discovery());
  for (const Resource& resource : known->all()) {
    if (resource.can("list")) out.insert(resource.plural);
  }
  return Unit{};
}

Outcome<Unit> add_names(Session& session, const std::string& type, const std::string& prefix,
                        std::set<std::string>& out) {
  ORCH_TRY(const Discovery* known, session.discovery());
  ORCH_TRY(const Resource* resource, known->resolve(type));
  ORCH_TRY(const std::string ns, session.namespace_());
  ORCH_TRY(ApiClient * client, session.api());
  Call call;
  call.target = resource->path(ns);
  call.accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
  ORCH_TRY(const JsonValue list, client->json(call));
  for (const JsonValue& item : list.get("items").items()) {
    out.insert(prefix + item.at("metadata.name").text());
  }
  return Unit{};
}

// Verbs, flags of the verb, types, names: whatever fits the last word.
Outcome<int> complete(Session& session) {
  const auto& words = session.flags.args();
  const std::string last = words.empty() ? "" : words.back();
  std::set<std::string> out;
  std::vector<std::string> plain;  // without flags and the last
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    if (!words[i].starts_with("-")) plain.push_back(words[i]);
  }
  const std::vector<Verb> verbs = {
#define ORCH_VERB(name) name##_verb(),
#include "ctl/verbs/verbs.def"
#undef ORCH_VERB
  };
  const Verb* verb = nullptr;
  for (const Verb& one : verbs) {
    if (plain.empty() && one.name != "__complete") out.insert(std::string(one.name));
    if (!plain.empty() && one.name == plain[0]) verb = &one;
  }
  if (verb != nullptr && last.starts_with("-")) {
    for (const Flag& flag : verb->flags) out.insert(fmt::format("--{}", flag.name));
  } else if (verb != nullptr) {
    const bool of_pods = verb->name == "logs" || verb->name == "exec" || verb->name == "attach" ||
                         verb->name == "port-forward" || verb->name == "cp";
    const bool of_nodes =
        verb->name == "cordon" || verb->name == "uncordon" || verb->name == "drain";
    const size_t type_at = verb->name == "rollout" || verb->name == "set" ? 2 : 1;
    // Without a server there is nothing to offer, which is no failure.
    if (const size_t slash = last.find('/'); slash != std::string::npos) {
      (void)add_names(session, last.substr(0, slash), last.substr(0, slash + 1), out);
    } else if (of_pods || of_nodes) {
      (void)add_names(session, of_pods ? "pods" : "nodes", "", out);
    } else if (plain.size() == type_at) {
      (void)add_types(session, out);
    } else if (plain.size() > type_at) {
      (void)add_names(session, plain[type_at], "", out);
    }
  }
  for (const std::string& word : out) {
    if (word.starts_with(last)) fmt::print("{}\n", word);
  }
  return 0;
}

}  // namespace

Verb completion_verb() {
  return {"completion",
          "Print a script that lets a shell complete words",
          "completion (bash | zsh | fish)",
          {},
          run};
}

Verb complete_verb() { return {"__complete", "", "__complete WORD...", {}, complete}; }

}  // namespace orch::ctl
