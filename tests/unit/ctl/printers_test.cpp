#include <catch2/catch.hpp>

#include "ctl/failure.h"
#include "ctl/printers/elastic.h"
#include "ctl/printers/table.h"

using namespace orch;
using namespace orch::ctl;
using api::JsonValue;

namespace {

constexpr char kTable[] = R"({"kind":"Table",
  "columnDefinitions":[{"name":"Name","priority":0},{"name":"Ready","priority":0},
    {"name":"Node","priority":1}],
  "rows":[
    {"cells":["a",1,"n1"],"object":{"metadata":{"namespace":"x","labels":{"b":"2","a":"1"}}}},
    {"cells":["longer-name","tw\no",null],"object":{"metadata":{"namespace":"default"}}}]})";

std::string shown(const TableOptions& options) {
  return ColumnWriter().lay_out(table_rows(*JsonValue::parse(kTable), options));
}

}  // namespace

TEST_CASE("columns are as wide as their widest cell and three spaces") {
  CHECK(shown({}) ==
        "NAME          READY\n"
        "a             1\n"
        "longer-name   tw\\no\n");
}

TEST_CASE("wide, namespaces, labels, prefixes, no headers") {
  TableOptions options;
  options.wide = options.with_namespace = options.show_labels = true;
  options.headers = false;
  options.name_prefix = "pod";
  options.label_columns = {"a"};
  CHECK(shown(options) ==
        "x         pod/a             1       n1       1     a=1,b=2\n"
        "default   pod/longer-name   tw\\no   <none>         <none>\n");
}

TEST_CASE("a cell is at least six wide, and width counts characters") {
  CHECK(ColumnWriter().lay_out({{"a", "b"}, {"\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9", "c"}}) ==
        "a      b\n\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9   c\n");
  CHECK(ColumnWriter().lay_out({{"a", "b"}}) == "a     b\n");
}

TEST_CASE("a watch's rows stay below their headers") {
  ColumnWriter writer;
  writer.lay_out({{"NAME", "AGE"}, {"long-long-name", "1s"}});
  CHECK(writer.lay_out({{"x", "2s"}}) == "x                2s\n");
}

TEST_CASE("control characters do not reach the terminal") {
  const auto table = JsonValue::parse(
      R"({"columnDefinitions":[{"name":"a"}],"rows":[{"cells":["x\u001b[31m"]}]})");
  CHECK(table_rows(*table, {}).at(1).at(0) == "x^[[31m");
}

TEST_CASE("tables that lack parts are printed as far as they go") {
  CHECK(table_rows(*JsonValue::parse(R"({"columnDefinitions":[{"name":"a"},{"name":"b"}],
      "rows":[{"cells":["x"]},{}]})"),
                   {}) == std::vector<std::vector<std::string>>{{"A", "B"}, {"x", ""}, {"", ""}});
  CHECK(table_rows(JsonValue(), {}).size() == 1);
}

TEST_CASE("ages as kubectl's") {
  CHECK(human_duration(-5) == "<invalid>");
  CHECK(human_duration(119) == "119s");
  CHECK(human_duration(125) == "2m5s");
  CHECK(human_duration(600) == "10m");
  CHECK(human_duration(3 * 3600 + 60) == "3h1m");
  CHECK(human_duration(47 * 3600) == "47h");
  CHECK(human_duration(49 * 3600) == "2d1h");
  CHECK(human_duration(8 * 86400) == "8d");
  CHECK(human_duration(3 * 365 * 86400LL + 86400) == "3y1d");
}

TEST_CASE("elastic tab stops: a block of lines shares its columns, the next has its own") {
  CHECK(elastic("Name:\tweb\nNamespace:\tdefault\nIPs:\n  IP:\t10.0.0.1\nEvents:\t<none>\n") ==
        "Name:       web\nNamespace:  default\nIPs:\n  IP:    10.0.0.1\nEvents:  <none>\n");
  CHECK(elastic("").empty());
}

TEST_CASE("server errors in kubectl's words") {
  CHECK(server_failure(api::not_found({"apps", "deployments"}, "x")).message ==
        "Error from server (NotFound): deployments.apps \"x\" not found");
  CHECK(server_failure(api::not_found({"", "pods"}, "x"), "error when deleting \"f\"").message ==
        "Error from server (NotFound): error when deleting \"f\": pods \"x\" not found");
  CHECK(server_failure(api::unauthorized()).message ==
        "error: You must be logged in to the server (Unauthorized)");
  CHECK(server_failure(
            api::invalid("", "Pod", "p", {{"FieldValueRequired", "Required value", "spec.x"}}))
            .message == "The Pod \"p\" is invalid: spec.x: Required value");
  CHECK(unreachable("h:1", "dial tcp h:1: connect: connection refused").message ==
        "The connection to the server h:1 was refused - did you specify the right host or port?");
  CHECK(unreachable("h:1", "x509: bad").message == "Unable to connect to the server: x509: bad");
}
