// What resourceVersion, resourceVersionMatch, limit and sendInitialEvents mean together: the rows
// of KEP-2340 (lists) and KEP-3157 (watches), one by one.
#include <catch2/catch.hpp>

#include "orch/base/strings.h"
#include "unit/server/api_fixture.h"

namespace orch::server::test {
namespace {

// Two maps, a version, then a third.
class Rows {
 public:
  Rows() {
    api.post(kConfigMaps, config_map("a"));
    then = api.post(kConfigMaps, config_map("b")).at("metadata.resourceVersion");
    now = api.post(kConfigMaps, config_map("c")).at("metadata.resourceVersion");
  }
  std::string query(const char* version, const char* match) const {
    std::string out;
    if (*version != '\0') {
      out += std::string("&resourceVersion=") + (std::string(version) == "then" ? then : version);
    }
    if (*match != '\0') out += std::string("&resourceVersionMatch=") + match;
    return out;
  }
  ApiFixture api;
  std::string then, now;
};

std::string names_of(const Answer& list) {
  std::string names;
  json_elements(json_member(list.body, "items").value_or("[]"), [&](std::string_view item) {
    names += json_string_at(item, "metadata.name").value_or("?");
    return true;
  });
  return names;
}
std::string events_of(const Answer& watch) {
  std::string out;
  for (const std::string& frame : watch.stream->take()) {
    const std::string type = json_string_at(frame, "type").value_or("?");
    out += type == "ADDED"      ? json_string_at(frame, "object.metadata.name").value_or("?")
           : type == "BOOKMARK" ? "|"
                                : "!";
  }
  return out;
}

}  // namespace

TEST_CASE("lists: every row of version, match and limit") {
  struct Row {
    const char *version, *match;
    bool limit;
    const char* names;  // null: 422
    bool exact;         // of the version asked for
  };
  const Row rows[] = {
      {"", "", false, "abc", false},
      {"", "", true, "a", false},
      {"", "Exact", false, nullptr, false},
      {"", "Exact", true, nullptr, false},
      {"", "NotOlderThan", false, nullptr, false},
      {"", "NotOlderThan", true, nullptr, false},
      {"0", "", false, "abc", false},
      {"0", "", true, "abc", false},  // any version will do: whole
      {"0", "Exact", false, nullptr, false},
      {"0", "Exact", true, nullptr, false},
      {"0", "NotOlderThan", false, "abc", false},
      {"0", "NotOlderThan", true, "abc", false},
      {"then", "", false, "abc", false},
      {"then", "", true, "a", true},  // as it was before there was a match
      {"then", "Exact", false, "ab", true},
      {"then", "Exact", true, "a", true},
      {"then", "NotOlderThan", false, "abc", false},
      {"then", "NotOlderThan", true, "a", false},
  };
  Rows world;
  for (const Row& row : rows) {
    INFO("resourceVersion=" << row.version << " match=" << row.match << " limit=" << row.limit);
    const Answer list =
        world.api.get(std::string(kConfigMaps) + "?" + (row.limit ? "limit=1" : "") +
                      world.query(row.version, row.match));
    if (row.names == nullptr) {
      CHECK(list.status == 422);
      CHECK(list.at("details.kind") == "ListOptions");
      continue;
    }
    CHECK(list.status == 200);
    CHECK(names_of(list) == row.names);
    CHECK(list.at("metadata.resourceVersion") == (row.exact ? world.then : world.now));
    // What follows is of the same version.
    const std::string token = list.at("metadata.continue");
    CHECK(token.empty() == (std::string_view(row.names).size() != 1));
    if (token.empty()) continue;
    const Answer rest = world.api.get(std::string(kConfigMaps) + "?continue=" + token);
    CHECK(names_of(rest) == (row.exact ? "b" : "bc"));
    CHECK(rest.at("metadata.resourceVersion") == list.at("metadata.resourceVersion"));
  }
}

TEST_CASE("watches: every row of version, match and initial events") {
  struct Row {
    const char *version, *match, *initial;
    const char* events;  // before anything new; | is a bookmark; null: 422
  };
  const Row rows[] = {
      {"", "", "", "abc"},
      {"0", "", "", "abc"},
      {"then", "", "", "c"},
      {"", "Exact", "", nullptr},
      {"0", "Exact", "", nullptr},
      {"then", "Exact", "", nullptr},
      {"", "NotOlderThan", "", nullptr},
      {"0", "NotOlderThan", "", nullptr},
      {"then", "NotOlderThan", "", nullptr},
      {"", "", "true", nullptr},
      {"0", "", "true", nullptr},
      {"then", "", "true", nullptr},
      {"", "Exact", "true", nullptr},
      {"0", "Exact", "true", nullptr},
      {"then", "Exact", "true", nullptr},
      {"", "NotOlderThan", "true", "abc|"},
      {"0", "NotOlderThan", "true", "abc|"},
      {"then", "NotOlderThan", "true", "abc|"},
      {"", "", "false", nullptr},
      {"then", "Exact", "false", nullptr},
      {"", "NotOlderThan", "false", ""},
      {"0", "NotOlderThan", "false", ""},
      {"then", "NotOlderThan", "false", "c"},
  };
  for (const Row& row : rows) {
    INFO("resourceVersion=" << row.version << " match=" << row.match
                            << " sendInitialEvents=" << row.initial);
    Rows world;
    std::string url = std::string(kConfigMaps) + "?watch=1&allowWatchBookmarks=true" +
                      world.query(row.version, row.match);
    if (*row.initial != '\0') url += std::string("&sendInitialEvents=") + row.initial;
    const Answer watch = world.api.get(url);
    if (row.events == nullptr) {
      CHECK(watch.status == 422);
      CHECK(watch.at("details.kind") == "ListOptions");
      continue;
    }
    REQUIRE(watch.stream != nullptr);
    CHECK(events_of(watch) == row.events);
    world.api.post(kConfigMaps, config_map("d"));
    CHECK(events_of(watch) == "d");
  }
}

TEST_CASE("versions grow with every write, of every kind alike, and have no leading zero") {
  ApiFixture api;
  int64_t last = 0;
  const auto grows = [&](const Answer& answer) {
    const std::string text = answer.at("metadata.resourceVersion");
    REQUIRE_FALSE(text.empty());
    CHECK(text.find_first_not_of("0123456789") == std::string::npos);
    CHECK(text.front() != '0');
    CHECK(std::stoll(text) > last);
    last = std::stoll(text);
  };
  const std::string one = std::string(kConfigMaps) + "/a";
  grows(api.post(kConfigMaps, config_map("a")));
  grows(api.post("/apis/coordination.k8s.io/v1/namespaces/default/leases",
                 R"({"metadata":{"name":"l"}})"));
  grows(api.patch(one, "application/merge-patch+json", R"({"data":{"k":"v"}})"));
  grows(api.post("/api/v1/namespaces/default/events",
                 R"({"metadata":{"name":"e"},"involvedObject":{"namespace":"default"}})"));
  grows(api.post("/apis/rbac.authorization.k8s.io/v1/clusterroles",
                 R"({"metadata":{"name":"r"},"rules":[]})"));
  api.del(one);
  grows(api.post(kConfigMaps, config_map("a")));
}

TEST_CASE("browsers get no say: no CORS, no cookies") {
  ApiFixture api;
  for (const char* method : {"GET", "OPTIONS"}) {
    const Answer answer = api.send(method, kConfigMaps, "",
                                   {{"Origin", "https://evil.example"},
                                    {"Access-Control-Request-Method", "GET"},
                                    {"Cookie", "session=1"}});
    for (const auto& [name, value] : answer.headers) {
      INFO(name << ": " << value);
      CHECK(to_lower(name).find("access-control") == std::string::npos);
      CHECK(to_lower(name) != "set-cookie");
    }
  }
}

}  // namespace orch::server::test
