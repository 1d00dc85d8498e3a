#include "ctl/rbac_rules.h"

#include <catch2/catch.hpp>

using namespace orch::ctl;

TEST_CASE("rules are compacted by group and resource") {
  const auto out = compacted({{{"get", "list"}, {""}, {"pods", "pods/log"}, {}, {}},
                              {{"watch", "get"}, {""}, {"pods"}, {}, {}},
                              {{"get"}, {}, {}, {}, {"/a", "/b"}}});
  REQUIRE(out.size() == 4);
  CHECK(rule_text(out[0]) ==
        "{Verbs:[get list watch] APIGroups:[] Resources:[pods] ResourceNames:[] "
        "NonResourceURLs:[]}");
  CHECK(out[1].resources == std::vector<std::string>{"pods/log"});
  CHECK(out[3].urls == std::vector<std::string>{"/b"});
}

TEST_CASE("what one list of rules allows beyond another") {
  const Rule pods{{"get", "delete"}, {""}, {"pods"}, {}, {}};
  CHECK(uncovered({{{"*"}, {"*"}, {"*"}, {}, {}}}, {pods}).empty());
  const auto missing = uncovered({{{"get"}, {""}, {"pods"}, {}, {}}}, {pods});
  REQUIRE(missing.size() == 1);
  CHECK(missing[0].verbs == std::vector<std::string>{"delete"});
  // A rule for one name covers that name only.
  CHECK(uncovered({{{"get"}, {""}, {"pods"}, {"a"}, {}}}, {{{"get"}, {""}, {"pods"}, {}, {}}})
            .size() == 1);
  CHECK(uncovered({{{"get"}, {}, {}, {}, {"/healthz/*"}}}, {{{"get"}, {}, {}, {}, {"/healthz/x"}}})
            .empty());
  CHECK(uncovered({{{"get"}, {""}, {"*/scale"}, {}, {}}},
                  {{{"get"}, {""}, {"deployments/scale"}, {}, {}}})
            .empty());
}

TEST_CASE("a group stands between a resource and its subresource") {
  CHECK(rule_resource({{"get"}, {"apps"}, {"deployments/scale"}, {}, {}}) ==
        "deployments.apps/scale");
  CHECK(rule_resource({{"get"}, {""}, {"pods/log"}, {}, {}}) == "pods/log");
  CHECK(rule_resource({{"get"}, {}, {}, {}, {"/a"}}).empty());
}
