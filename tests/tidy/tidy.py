#!/usr/bin/env python3
"""The rules of the source tree that a machine can hold: tidy.py [TOP].

Each rule is a function of a Tree (path -> text) that yields findings. Findings fail the run, notes do
not. selftest.py feeds each rule a tree that breaks it.
"""
import os
import re
import subprocess
import sys

CODE = (".cpp", ".h", ".c")


class Tree:
    """Text files by path relative to the top."""

    def __init__(self, files):
        self.files = files
        self.code_cache = {}

    @classmethod
    def of_directory(cls, top):
        files = {}
        for path in list_files(top):
            try:
                with open(os.path.join(top, path), encoding="utf-8") as f:
                    files[path] = f.read()
            except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
                continue
        return cls(files)

    def under(self, *prefixes, ends=CODE):
        for path in sorted(self.files):
            if path.startswith(prefixes) and path.endswith(ends):
                yield path, self.files[path]

    def exists(self, path):
        path = path.rstrip("/")
        return path in self.files or any(p.startswith(path + "/") for p in self.files)

    def code(self, path):
        """The file without comments and without the insides of string literals, lines kept."""
        if path not in self.code_cache:
            self.code_cache[path] = without_comments(self.files[path])
        return self.code_cache[path]


def list_files(top):
    """What git tracks or would track; without git, everything outside build/."""
    git = subprocess.run(["git", "-c", f"safe.directory={os.path.abspath(top)}", "-C", top, "ls-files",
                          "-z", "--cached", "--others", "--exclude-standard"],
                         capture_output=True, check=False)
    if git.returncode == 0:
        return [p for p in git.stdout.decode().split("\0") if p]
    found = []
    for folder, folders, names in os.walk(top):
        folders[:] = [f for f in folders if f not in (".git", "build")]
        found += [os.path.relpath(os.path.join(folder, n), top) for n in names]
    return found


TOKENS = re.compile(r'R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\''
                    r"|//[^\n]*|/\*.*?\*/", re.S)


def without_comments(text):
    def blank(match):
        token = match.group(0)
        if token.startswith('"') and is_include(text, match.start()):
            return token
        kept = "\n" * token.count("\n")
        return kept if token.startswith("/") else '""' + kept
    return TOKENS.sub(blank, text)


def is_include(text, at):
    line = text[text.rfind("\n", 0, at) + 1:at]
    return re.match(r"\s*#\s*include\s*$", line) is not None


def grep(tree, path, pattern):
    """(line number, match) of each match in the code of a file."""
    for number, line in enumerate(tree.code(path).split("\n"), 1):
        match = re.search(pattern, line)
        if match:
            yield number, match


# ---- layers ----

# Folder -> what it may include besides itself. Most specific prefix wins.
ALL_SERVER = {"server", "server/registry", "server/auth", "server/admission", "server/api", "server/http",
              "server/join", "server/pki", "server/maintenance", "server/controllers", "server/scheduler", "server/cloud",
              "server/etcd", "server/audit"}
LAYERS = {
    "base": set(),
    "storage": {"base"},
    "api": {"base"},
    "net": {"base"},
    "net/http": {"base"},
    "net/grpc": {"base", "net/http"},
    "client": {"base", "api", "net/http"},
    "server/registry": {"base", "storage", "api"},
    "server/pki": {"base", "net/http", "client"},
    "server/auth": {"base", "api", "net/http", "client", "server/registry"},
    "server/admission": {"base", "api", "client", "server/registry"},
    "server/api": {"base", "storage", "api", "net/http", "client", "server/registry"},
    "server/http": {"base", "api", "net/http", "server/api", "server/audit"},
    "server/audit": {"base", "api", "net/http", "server/api"},
    "server/join": {"base", "api", "net/http", "client", "server/pki"},
    "server/maintenance": {"base", "storage", "api", "net/http", "client", "server", "server/registry",
                           "server/api"},
    "server/controllers": {"base", "api", "client"},
    "server/scheduler": {"base", "api", "net/http", "client"},
    "server/cloud": {"base", "api", "client"},
    "server/etcd": {"base", "storage", "net/http", "net/grpc"},
    "server": {"base", "storage", "api", "net", "net/http", "net/grpc", "client"} | ALL_SERVER,
    "sim": {"base", "storage", "api", "client"} | ALL_SERVER,
    "agent": {"base", "api", "net", "net/http", "client"},
    "ctl": {"base", "api", "net/http", "client"},
    "cmd": {"base", "api", "net", "net/http", "server", "sim", "agent", "ctl"},
    "main": {"base", "net", "cmd", "ctl"},
}
# Single headers that a folder may include against its layer, with the reason.
EXTRA_EDGES = {
    ("server/auth", "server/api/hooks.h"): "the interfaces that authentication implements",
    ("server/admission", "server/api/hooks.h"): "the interface that admission implements",
    ("server/admission", "server/auth/node_identity.h"): "which users are nodes, a plain function",
    ("server/admission", "server/auth/pod_references.h"): "what a Pod names, a plain function",
    ("server/admission", "orch/net/tls.h"): "certificate signing requests are read for NodeRestriction",
    ("server/controllers", "server/settings.h"): "Cidr, a plain value",
    ("server/controllers", "server/scheduler/pod_info.h"): "node affinity and taints as the scheduler sees them",
}
GRPC_CONTRACTS = ("orch/net/grpc.h",)
HTTP_CONTRACTS = ("orch/net/http.h", "orch/net/jose.h", "orch/net/spdy.h", "orch/net/tls.h", "orch/net/websocket.h")


def layer_of(path):
    """Layer of a file of src/ or include/orch/ (path), or of an include text; None = outside."""
    path = re.sub(r"^(src|include)/", "", path)
    if path in HTTP_CONTRACTS:
        return "net/http"
    if path in GRPC_CONTRACTS:
        return "net/grpc"
    path = re.sub(r"^orch/", "", path)
    if path == "main.cpp":
        return "main"
    parts = path.split("/")
    for size in (2, 1):
        name = "/".join(parts[:size])
        if len(parts) > size and name in LAYERS:
            return name
    return None


def includes(tree, path):
    return ((number, match.group(1))
            for number, match in grep(tree, path, r'^\s*#\s*include\s*[<"]([^>"]+)[>"]'))


def rule_layers(tree):
    for path, _ in tree.under("src/", "include/"):
        mine = layer_of(path)
        if mine is None:
            yield f"{path}: no layer for this folder in tests/tidy/tidy.py"
            continue
        for number, header in includes(tree, path):
            theirs = layer_of(header) if "/" in header else mine
            if theirs is None or theirs == mine or theirs in LAYERS[mine]:
                continue
            if (mine, header) not in EXTRA_EDGES:
                yield f"{path}:{number}: {mine} must not include {theirs} ({header})"


def rule_contracts(tree):
    """include/orch holds a header if and only if another folder of src includes it."""
    users = {}
    for path, _ in tree.under("src/", "include/"):
        folder = re.sub(r"^(src|include/orch)/", "", path).split("/")[0]
        for _, header in includes(tree, path):
            users.setdefault(header, set()).add(folder)
    for path, _ in tree.under("include/orch/"):
        header = path[len("include/"):]
        others = users.get(header, set()) - {header.split("/")[1]}
        # What a contract shows is part of it.
        shown = any(header in (h for _, h in includes(tree, p)) for p, _ in tree.under("include/orch/"))
        if not others and not shown:
            yield f"{path}: no other folder includes it; it belongs beside its .cpp"


# ---- homes of third parties ----

# Header pattern -> folders or files that may include it.
HOMES = [
    (r"^sqlite3", ["src/storage/sqlite/"]),
    (r"^openssl/",
     ["src/net/http/",
      "src/base/crypto.cpp"]),  # storage does not see net
    (r"^nghttp2/", ["src/net/grpc/"]),
    (r"^zstd\.h$", ["src/storage/"]),
    (r"^zlib\.h$", ["src/net/http/"]),
    (r"^(netlink/|linux/(netlink|rtnetlink|netfilter|if_|if\.h|veth|neighbour|genetlink))",
     ["src/net/netlink/",
      "src/net/overlay/plan.cpp"]),  # route protocol numbers only
    (r"^nlohmann/",
     ["src/api/",
      "src/net/cni/protocol.cpp"]),  # CNI's own JSON: net does not see api
    (r"^yaml-cpp/", ["src/api/"]),
    (r"^(grpc|grpcpp)/", ["src/agent/cri/"]),
    (r"^(google/protobuf/|.*\.pb\.h$)", ["src/agent/cri/", "src/api/protoc_gen_orch/"]),
    (r"^CLI/", ["src/cmd/"]),
    (r"^(catch2/|httplib)", []),
]


def rule_third_parties(tree):
    for path, _ in tree.under("src/", "include/"):
        for number, header in includes(tree, path):
            for pattern, homes in HOMES:
                if re.search(pattern, header) and not path.startswith(tuple(homes)):
                    where = ", ".join(homes) or "tests only"
                    yield f"{path}:{number}: <{header}> has its home in {where}"
            if path.startswith("include/") and re.search(
                    r"^(nlohmann|yaml-cpp|grpc|google|openssl|sqlite3|netlink|CLI)\b", header):
                yield f"{path}:{number}: contracts show no third-party header (<{header}>)"


# ---- decide code ----

DECIDE = ("src/server/controllers/", "src/server/scheduler/", "src/agent/pod/plan", "src/net/proxy/rules.cpp",
          "src/net/overlay/plan.cpp")
BANNED = [
    (r"\b\w+_clock::now\s*\(", "a system clock"),
    (r"\bsystem_clock\s*\(\s*\)|\bsystem_random\s*\(\s*\)", "the production Env"),
    (r"\b(gettimeofday|clock_gettime|localtime|gmtime)\b|\btime\s*\(\s*(nullptr|NULL|0)\s*\)", "a system clock"),
    (r"\bsleep_for\b|\bsleep_until\b|\b(u|nano)?sleep\s*\(", "sleeping"),
    (r"\bstd::(jthread|thread|async)\b", "a thread of its own"),
    (r"\brandom_device\b|\bmt19937|(?<![\w.>])rand\s*\(", "randomness"),
    (r"\b(secure_)?getenv\s*\(", "the environment"),
]
# Pure cores: no clock of any kind; the time is an argument.
PURE = re.compile(r"^src/(server/controllers/\w*plan\w*\.cpp|server/scheduler/(schedule|plugins/\w+)\.cpp"
                  r"|agent/pod/plan\w*\.cpp|net/proxy/rules\.cpp|net/overlay/plan\.cpp)$")


def rule_decide_code(tree):
    for path, _ in tree.under(*DECIDE):
        for pattern, what in BANNED:
            for number, match in grep(tree, path, pattern):
                yield f"{path}:{number}: decide code uses {what}: {match.group(0).strip()}"
        if PURE.match(path):
            for number, match in grep(tree, path, r"\b(\w+\.)?clock(\(\))?\.(now|mono)\b|\bEnv\s*&"):
                yield f"{path}:{number}: a pure core takes the time as an argument: {match.group(0)}"


# ---- sizes and texts ----

# Files that may be longer, with the reason.
LONG_FILES = {}


def rule_file_size(tree):
    for path, text in tree.under("src/", "include/", "tests/", "packaging/", "cmake/",
                                 ends=CODE + (".py", ".sh", ".cmake", ".txt")):
        lines = text.count("\n")
        if lines > 1000 and path not in LONG_FILES:
            yield f"{path}: {lines} lines; 1000 at most"


def note_file_size(tree):
    for path, text in tree.under("src/", "include/", "tests/"):
        if 600 < text.count("\n") <= 1000:
            yield f"{path}: {text.count(chr(10))} lines; more than 600 is a smell"


def note_function_size(tree):
    """Free functions by clang-format's layout: from column 0 to `}` in column 0."""
    for path, _ in tree.under("src/"):
        start = None
        for number, line in enumerate(tree.code(path).split("\n"), 1):
            if re.match(r"(?!struct|class|union|enum|namespace)\w", line):
                start = number
            elif line == "}" and start is not None:
                if number - start > 80:
                    yield f"{path}:{start}: function of {number - start} lines; about 70 at most"
                start = None
            elif line.startswith("}"):
                start = None


def rule_line_length(tree):
    """Of code; .proto and .def are tables. What a test feeds may be as long as it is in life."""
    for path, text in tree.under("src/", "include/", "tests/"):
        for number, line in enumerate(text.split("\n"), 1):
            if len(line) <= 100:
                continue
            if path.startswith("tests/") and len(tree.code(path).split("\n")[number - 1]) <= 100:
                continue
            yield f"{path}:{number}: {len(line)} columns; 100 at most"


def rule_unfinished(tree):
    # HTTP's own reason phrase (501) has capitals.
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|X{3})\b|\b[Nn]ot (yet )?implemen" r"ted")
    for path, text in tree.under("src/", "include/", "packaging/", "cmake/", ends=""):
        for number, line in enumerate(text.split("\n"), 1):
            match = marks.search(line)
            if match:
                yield f"{path}:{number}: unfinished: {match.group(0)}"


def rule_workplace(tree):
    place = re.compile(r"(?<![\w.~])/(wor" r"k|home/\w+)/")
    for path in sorted(tree.files):
        if path.startswith("tests/tidy/"):
            continue
        for number, line in enumerate(tree.files[path].split("\n"), 1):
            if place.search(line):
                yield f"{path}:{number}: a path of somebody's workplace"


def rule_packages(tree):
    """One list of packages: nothing else installs any."""
    for path, text in tree.under("", ends=("", )):
        if path.startswith("tests/tidy/") or path.endswith(".md"):
            continue
        for number, line in enumerate(text.split("\n"), 1):
            if not re.search(r"\b(apt-get|apt|aptitude|dpkg)\b.*\s(install|-i)\s", line):
                continue
            if path == "packaging/install-deps.sh" and "${missing[@]}" in line or "say " in line:
                continue
            yield f"{path}:{number}: packages are installed by packaging/install-deps.sh only"
    seen = {}
    for number, line in enumerate(tree.files.get("packaging/packages.txt", "").split("\n"), 1):
        words = line.split("#")[0].split()
        if words and (len(words) != 2 or words[0] not in ("build", "run", "example", "test")):
            yield f"packaging/packages.txt:{number}: not of the form `group package`"
        elif words and words[1] in seen:
            yield f"packaging/packages.txt:{number}: {words[1]} is on line {seen[words[1]]} already"
        elif words:
            seen[words[1]] = number


# ---- extension lists ----

class Extension:
    """A .def and what it lists. `entry` finds the listed names in the .def; `definition` finds the names
    defined in the folder's .cpp files; `one_file_each`: every .cpp but `shared` is named after an entry."""

    def __init__(self, folder, entry, definition, one_file_each=False, shared=()):
        self.folder, self.entry, self.definition = folder, entry, definition
        self.one_file_each, self.shared = one_file_each, shared


EXTENSIONS = {
    "src/api/kinds/kinds.def":
        Extension("src/api/kinds/", r"ORCH_KIND(?:_ON_REQUEST)?\((\w+)\)", r"^ResourceInfo (\w+_resource)\("),
    "src/server/controllers/controllers.def":
        Extension("src/server/controllers/", r"ORCH_CONTROLLER\((\w+)\)", r"^client::ControllerSpec (\w+)\("),
    "src/server/scheduler/plugins/plugins.def":
        Extension("src/server/scheduler/plugins/", r"ORCH_PLUGIN\((\w+),", r"^std::unique_ptr<Plugin> make_(\w+)\(",
                  one_file_each=True),
    "src/server/admission/admission.def":
        Extension("src/server/admission/", r"ORCH_ADMISSION\((\w+),",
                  r"^std::unique_ptr<AdmissionPlugin> make_(\w+)\(", one_file_each=True,
                  shared=("admission", "settings", "pod_security_standards")),
    "src/agent/volumes/volumes.def":
        Extension("src/agent/volumes/", r"ORCH_VOLUME\((\w+)\)", r"^const VolumeDriver& (\w+)_volume\(",
                  one_file_each=True, shared=("volume", "atomic_writer", "sub_path")),
    "src/net/proxy/modes/modes.def":
        Extension("src/net/proxy/modes/", r'ORCH_PROXY_MODE\("\w+", (\w+)\)',
                  r"NetError> (make_\w+_proxy)\("),
    "src/ctl/verbs/verbs.def":
        Extension("src/ctl/verbs/", r"ORCH_VERB\((\w+)", r"^Verb (\w+)_verb\("),
}


def rule_extensions(tree):
    for path, text in tree.under("src/", ends=(".def",)):
        if path not in EXTENSIONS:
            yield f"{path}: tests/tidy/tidy.py does not know this list"
            continue
        yield from check_extension(tree, path, text, EXTENSIONS[path])


def check_extension(tree, path, text, extension):
    listed = re.findall("^" + extension.entry, text, re.M)
    for name in sorted({n for n in listed if listed.count(n) > 1}):
        yield f"{path}: {name} is listed twice"
    defined = {}
    stems = set()
    for file, content in tree.under(extension.folder, ends=(".cpp",)):
        stems.add(os.path.basename(file)[:-len(".cpp")])
        for name in re.findall(extension.definition, content, re.M):
            defined[name] = file
    for name, file in sorted(defined.items()):
        if name not in listed:
            yield f"{file}: {name} is not in {path}"
    for name in listed:
        if name not in defined:
            yield f"{path}: {name} is defined nowhere in {extension.folder}"
    if extension.one_file_each:
        for stem in sorted(stems - set(listed) - set(extension.shared)):
            yield f"{extension.folder}{stem}.cpp: not in {path}"


# ---- documents and tests ----

TOPS = ("src/", "include/", "tests/", "packaging/", "docs/", "cmake/")


def rule_documents(tree):
    """Paths named in documents exist: `src/...` in backquotes, and relative links."""
    for path, text in tree.under("", ends=(".md",)):
        for number, line in enumerate(text.split("\n"), 1):
            for word in re.findall(r"`([^`\s]+)`", line):
                if not word.startswith(TOPS) or re.search(r"[<>*{}$…]|\.\.\.", word):
                    continue
                if not tree.exists(re.sub(r":\d+$", "", word)):
                    yield f"{path}:{number}: {word} does not exist"
            for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", line):
                if re.match(r"\w+:", link):
                    continue
                target = os.path.normpath(os.path.join(os.path.dirname(path), link))
                if not tree.exists(target):
                    yield f"{path}:{number}: link to {link}, which does not exist"


def rule_tests_registered(tree):
    """A test that no list names does not run."""
    lists = tree.files.get("tests/CMakeLists.txt", "")
    folders = {p.split("/")[2] for p, _ in tree.under("tests/unit/", ends=(".cpp",))}
    for folder in sorted(folders):
        if not re.search(rf"^orch_unit_test\({folder}\b", lists, re.M):
            yield f"tests/unit/{folder}: not in tests/CMakeLists.txt"
    chosen = re.search(r"foreach\(folder ([^)]*)\)", lists)
    for path, _ in tree.under("tests/", ends=("/CMakeLists.txt",)):
        if path == "tests/CMakeLists.txt":
            continue
        folder = path.split("/")[1]
        if not chosen or folder not in chosen.group(1).split():
            yield f"tests/{folder}: not in tests/CMakeLists.txt"
    fuzz = tree.files.get("tests/fuzz/CMakeLists.txt", "")
    for path, text in tree.under("tests/fuzz/", ends=(".cpp",)):
        name = os.path.basename(path)[:-len(".cpp")]
        if name != "replay_main" and "LLVMFuzzerTestOneInput" in text and f"({name} " not in fuzz:
            yield f"{path}: not in tests/fuzz/CMakeLists.txt"
    bench = tree.files.get("tests/bench/CMakeLists.txt", "")
    for path, _ in tree.under("tests/bench/", ends=("_bench.cpp",)):
        name = os.path.basename(path)[:-len("_bench.cpp")]
        if f"({name} " not in bench:
            yield f"{path}: not in tests/bench/CMakeLists.txt"


RULES = [rule_layers, rule_contracts, rule_third_parties, rule_decide_code, rule_file_size,
         rule_line_length, rule_unfinished, rule_workplace, rule_packages, rule_extensions,
         rule_documents, rule_tests_registered]
NOTES = [note_file_size, note_function_size]


def main():
    top = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "..")
    tree = Tree.of_directory(top)
    if not tree.exists("src/main.cpp"):
        print(f"tidy: {top} is not the top of the source tree", file=sys.stderr)
        return 2
    for note in (n for rule in NOTES for n in rule(tree)):
        print("note:", note)
    findings = [f for rule in RULES for f in rule(tree)]
    for finding in findings:
        print(finding)
    print(f"tidy: {len(tree.files)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
