#!/usr/bin/env python3
"""Tests tidy.py itself: each rule finds what breaks it and is silent where nothing does."""
import sys
import unittest

sys.dont_write_bytecode = True  # nothing is left in the source tree

import tidy  # noqa: E402
from tidy import Tree  # noqa: E402


def found(rule, files):
    return list(rule(Tree(files)))


class Rules(unittest.TestCase):
    def finds(self, rule, files, *parts, count=1):
        findings = found(rule, files)
        self.assertEqual(count, len(findings), findings)
        for part in parts:
            self.assertIn(part, findings[0])

    def silent(self, rule, files):
        self.assertEqual([], found(rule, files))

    def test_layers(self):
        rule = tidy.rule_layers
        for path, header in [
                ("src/storage/a.cpp", "orch/api/codec.h"),
                ("src/net/proxy/a.cpp", "orch/api/corev1.h"),
                ("src/net/http/a.cpp", "orch/net/netlink.h"),
                ("src/agent/a.cpp", "orch/server/server.h"),
                ("src/server/api/a.cpp", "orch/agent/agent.h"),
                ("src/server/registry/a.cpp", "orch/client/client.h"),
                ("src/server/controllers/a.cpp", "server/registry/registry.h"),
                ("src/server/scheduler/plugins/a.cpp", "server/controllers/pods.h"),
                ("src/server/auth/a.cpp", "server/api/call.h"),
                ("src/client/a.cpp", "server/api/local_transport.h"),
                ("src/base/a.cpp", "orch/net/host.h"),
                ("src/ctl/a.cpp", "orch/storage/kv_store.h"),
                ("include/orch/storage/a.h", "orch/api/value.h"),
                ("src/main.cpp", "orch/server/server.h")]:
            self.finds(rule, {path: f'// x\n#include "{header}"\n'}, f"{path}:2", header)
        self.finds(rule, {"src/fresh/a.cpp": ""}, "no layer")

    def test_layers_allow(self):
        self.silent(tidy.rule_layers, {
            "src/server/auth/a.cpp": '#include "server/api/hooks.h"\n#include "orch/net/tls.h"\n',
            "src/server/scheduler/a.cpp": '#include "orch/client/client.h"\n#include <map>\n',
            "src/server/server.cpp": '#include "server/scheduler/scheduler.h"\n',
            "src/agent/a.cpp": '#include "orch/net/cni.h"\n#include "b.h"\n',
            "src/net/a.cpp": '// #include "orch/api/codec.h"\n',
            "src/api/a.cpp": '#include "orch/api/corev1.h"\n'})

    def test_contracts(self):
        header = {"include/orch/net/a.h": ""}
        self.finds(tidy.rule_contracts, header, "include/orch/net/a.h")
        self.finds(tidy.rule_contracts, header | {"src/net/a.cpp": '#include "orch/net/a.h"'})
        self.silent(tidy.rule_contracts, header | {"src/agent/a.cpp": '#include "orch/net/a.h"'})

    def test_third_parties(self):
        rule = tidy.rule_third_parties
        for header in ["sqlite3.h", "openssl/ssl.h", "netlink/msg.h", "linux/netlink.h", "zlib.h",
                       "nlohmann/json.hpp", "yaml-cpp/yaml.h", "grpcpp/grpcpp.h", "runtime_v1.pb.h",
                       "google/protobuf/message.h", "CLI/CLI.hpp", "catch2/catch.hpp", "httplib.h"]:
            self.finds(rule, {"src/client/a.cpp": f"#include <{header}>\n"}, header)
        self.finds(rule, {"include/orch/api/a.h": "#include <nlohmann/json.hpp>\n"}, count=2)
        self.silent(rule, {"src/api/a.cpp": "#include <nlohmann/json.hpp>\n#include <linux/openat2.h>\n",
                           "src/storage/sqlite/a.cpp": "#include <sqlite3.h>\n",
                           "src/net/http/a.cpp": "#include <openssl/ssl.h>\n#include <netinet/tcp.h>\n"})

    def test_decide_code(self):
        rule = tidy.rule_decide_code
        for call in ["auto t = std::chrono::steady_clock::now();", "system_clock().now();", "time(nullptr);",
                     "std::this_thread::sleep_for(1s);", "usleep(3);", "std::thread t;", "std::async(f);",
                     "int x = rand();", "std::random_device d;", 'getenv("HOME");']:
            for path in ["src/server/controllers/a.cpp", "src/server/scheduler/plugins/a.cpp",
                         "src/agent/pod/plan.cpp", "src/net/proxy/rules.cpp"]:
                self.finds(rule, {path: f"void f() {{\n  {call}\n}}\n"}, path + ":2")
        self.finds(rule, {"src/server/controllers/a_plan.cpp": "x = env.clock.now();\n"}, "argument")
        self.silent(rule, {"src/server/controllers/a.cpp": "x = context.env.clock.now();  // time(nullptr)\n",
                           "src/server/scheduler/a.cpp": 'text("rand()"); random.rand(); operand(1);\n',
                           "src/agent/pod/worker.cpp": "std::thread t;\n"})

    def test_sizes(self):
        self.finds(tidy.rule_file_size, {"src/base/a.cpp": "\n" * 1001}, "1001")
        self.silent(tidy.rule_file_size, {"src/base/a.cpp": "\n" * 1000, "src/api/a.proto": "\n" * 2000})
        self.finds(tidy.note_file_size, {"src/base/a.cpp": "\n" * 601})
        body = "void f() {\n" + "  g();\n" * 90 + "}\n"
        self.finds(tidy.note_function_size, {"src/base/a.cpp": body}, "a.cpp:1")
        self.silent(tidy.note_function_size, {"src/base/a.cpp": "struct A {\n" + "  int a;\n" * 90 + "};\n"})

    def test_line_length(self):
        rule = tidy.rule_line_length
        self.finds(rule, {"src/base/a.cpp": "x" * 101}, "101")
        self.finds(rule, {"tests/unit/base/a.cpp": "x" * 101})
        self.silent(rule, {"src/base/a.cpp": "x" * 100, "src/api/a.proto": "x" * 200,
                           "src/api/kinds/kinds.def": "x" * 200,
                           "tests/unit/base/a.cpp": 'f(R"(' + "x" * 101 + ')");'})

    def test_unfinished(self):
        for text in ["// TO" + "DO: later", "// FIX" + "ME", "// XX" + "X", '"not implemen' + 'ted"']:
            self.finds(tidy.rule_unfinished, {"src/base/a.cpp": text})
        self.silent(tidy.rule_unfinished, {"packaging/a.sh": "mktemp /tmp/a.XXXXXX",
                                           "src/net/http/a.cpp": '"Not Implemen' + 'ted"'})

    def test_workplace(self):
        self.finds(tidy.rule_workplace, {"docs/a.md": "see /wor" + "k/main/x"})
        self.silent(tidy.rule_workplace, {"docs/a.md": "see ~/wor" + "k/x, src/wor" + "k/x"})

    def test_packages(self):
        rule = tidy.rule_packages
        for line in ["apt-get install -y jq", "apt install jq", "sudo apt-get -q install jq"]:
            self.finds(rule, {"tests/run.sh": line})
        self.silent(rule, {"packaging/install-deps.sh": 'apt-get install -y "${missing[@]}"\napt-get update\n'})
        self.finds(rule, {"packaging/packages.txt": "jq\n"}, "packages.txt:1")
        self.finds(rule, {"packaging/packages.txt": "test jq\nrun jq\n"}, "already")

    def test_extensions(self):
        rule = tidy.rule_extensions
        plugins = "src/server/scheduler/plugins/"
        maker = "std::unique_ptr<Plugin> make_a(const client::Client&) {\n"
        self.silent(rule, {plugins + "plugins.def": "ORCH_PLUGIN(a, 1)\n", plugins + "a.cpp": maker})
        self.finds(rule, {plugins + "plugins.def": "\n", plugins + "a.cpp": maker}, "make_a"[5:], count=2)
        self.finds(rule, {plugins + "plugins.def": "ORCH_PLUGIN(b, 1)\n"}, "nowhere")
        self.finds(rule, {plugins + "plugins.def": "ORCH_PLUGIN(a, 1)\nORCH_PLUGIN(a, 1)\n",
                          plugins + "a.cpp": maker}, "twice")
        self.finds(rule, {"src/base/fresh.def": ""}, "does not know")
        for path, line, definition in [
                ("src/api/kinds/kinds.def", "", "ResourceInfo pods_resource() {"),
                ("src/server/controllers/controllers.def", "",
                 "client::ControllerSpec a_controller(client::ControllerContext&,"),
                ("src/net/proxy/modes/modes.def", "",
                 "Result<std::unique_ptr<ProxyBackend>, NetError> make_a_proxy(const ProxyOptions&) {"),
                ("src/ctl/verbs/verbs.def", "", "Verb get_verb() {")]:
            folder = path[:path.rfind("/") + 1]
            self.finds(rule, {path: line, folder + "a.cpp": definition + "\n"}, "is not in")

    def test_documents(self):
        self.finds(tidy.rule_documents, {"src/README.md": "see `src/base/gone.cpp`"}, "gone.cpp")
        self.finds(tidy.rule_documents, {"docs/a.md": "[x](b.md)"}, "b.md")
        self.silent(tidy.rule_documents, {"docs/a.md": "[x](../src/a.h#part) [y](https://e.org) `src/<x>/*.h`"
                                          " `src/a.h:12` `src/`", "src/a.h": ""})

    def test_tests_registered(self):
        lists = {"tests/CMakeLists.txt": "orch_unit_test(base DEPENDS x)\nforeach(folder tidy fuzz)\n"}
        rule = tidy.rule_tests_registered
        self.silent(rule, lists | {"tests/unit/base/a.cpp": "", "tests/tidy/CMakeLists.txt": ""})
        self.finds(rule, lists | {"tests/unit/api/a.cpp": ""}, "tests/unit/api")
        self.finds(rule, lists | {"tests/e2e/CMakeLists.txt": ""}, "tests/e2e")
        self.finds(rule, lists | {"tests/fuzz/CMakeLists.txt": "orch_fuzz_target(b CORPUS b)",
                                  "tests/fuzz/a.cpp": "int LLVMFuzzerTestOneInput();"}, "a.cpp")
        self.finds(rule, lists | {"tests/bench/a_bench.cpp": ""}, "a_bench.cpp")

    def test_every_rule_is_tested(self):
        with open(__file__, encoding="utf-8") as file:
            here = file.read()
        for rule in tidy.RULES + tidy.NOTES:
            self.assertIn("tidy." + rule.__name__, here)

    def test_comments(self):
        text = 'a(R"(/* no */)"); // x "\n\'"\' b /* c\nd */ e'
        self.assertEqual('a(""); \n"" b \n e', tidy.without_comments(text))


if __name__ == "__main__":
    unittest.main()
