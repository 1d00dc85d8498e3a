#include "orch/api/selector.h"

#include <catch2/catch.hpp>

using namespace orch::api;

namespace {
bool match(const char* selector, const Labels& labels) {
  auto parsed = LabelSelector::parse(selector);
  REQUIRE(parsed);
  return parsed->matches(labels);
}
std::string error_of(const char* selector) {
  auto parsed = LabelSelector::parse(selector);
  return parsed ? "parsed" : parsed.error();
}
}  // namespace

TEST_CASE("label selectors match") {
  const Labels labels = {{"app", "web"}, {"tier", "front"}, {"rank", "7"}, {"empty", ""}};
  struct Row {
    const char* selector;
    bool matches;
  };
  const Row rows[] = {
      {"", true},
      {"app=web", true},
      {"app==web", true},
      {" app = web ", true},
      {"app=web,tier=front", true},
      {"app=web,tier=back", false},
      {"app!=web", false},
      {"none!=x", true},
      {"app in (web,db)", true},
      {"app in (db)", false},
      {"app notin (db)", true},
      {"none notin (db)", true},
      {"app", true},
      {"none", false},
      {"!none", true},
      {"!app", false},
      {"rank>6", true},
      {"rank>7", false},
      {"rank<8", true},
      {"app>1", false},
      {"none<1", false},
      {"empty=", true},
      {"app=", false},
      {"empty in (,x)", true},
      {"in in (x)", false},
      {"notin", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.selector);
    CHECK(match(row.selector, labels) == row.matches);
  }
}

TEST_CASE("label selector errors are worded as upstream's") {
  CHECK(error_of("a b") ==
        "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt");
  CHECK(error_of("a=b,") == "found '', expected: identifier after ','");
  CHECK(error_of(",a") == "found ',', expected: !, identifier, or 'end of string'");
  CHECK(error_of("a=b c") == "found 'c', expected: ',' or 'end of string'");
  CHECK(error_of("a in b") == "unable to parse requirement: found 'b' expected: '('");
  CHECK(error_of("a in (b") == "unable to parse requirement: found '', expected: ',' or ')'");
  CHECK(error_of("a in ()") ==
        "unable to parse requirement: values: Invalid value: []string{}: for 'in', 'notin' "
        "operators, values set can't be empty");
  CHECK(error_of("!") == "unable to parse requirement: found '', expected: identifier");
  CHECK(error_of("a>x") ==
        "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, "
        "the value must be an integer");
  CHECK(error_of("-a=b").starts_with(
      "unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist of"));
  CHECK(error_of("a=b/c").starts_with(
      "unable to parse requirement: values[0][a]: Invalid value: \"b/c\": a valid label must"));
  CHECK(error_of("a===b").starts_with("unable to parse requirement: found '=', expected:"));
}

TEST_CASE("label selectors print in the order of their keys") {
  CHECK(LabelSelector::parse("z,b!=x,!c,a in (q,p,q),d>1,e=")->str() ==
        "a in (p,q),b!=x,!c,d>1,e=,z");
  CHECK(LabelSelector::of({{"a", "b"}, {"c", "d"}}).str() == "a=b,c=d");
}

TEST_CASE("label selectors from the API type") {
  metav1::LabelSelector api;
  CHECK(LabelSelector::from(api)->matches({{"a", "b"}}));
  CHECK_FALSE(LabelSelector::nothing().matches({}));
  CHECK_FALSE(LabelSelector::nothing().empty());
  api.matchLabels["app"] = "web";
  metav1::LabelSelectorRequirement in;
  in.key = "tier";
  in.operator_ = "In";
  in.values = {"front", "back"};
  api.matchExpressions.push_back(in);
  auto selector = LabelSelector::from(api);
  REQUIRE(selector);
  CHECK(selector->str() == "app=web,tier in (back,front)");
  CHECK(selector->matches({{"app", "web"}, {"tier", "back"}}));
  CHECK_FALSE(selector->matches({{"app", "web"}}));
  api.matchExpressions[0].operator_ = "Like";
  CHECK(LabelSelector::from(api).error() == "\"Like\" is not a valid label selector operator");
  api.matchExpressions[0].operator_ = "Exists";
  CHECK(LabelSelector::from(api).error().find("values set must be empty") != std::string::npos);
}

TEST_CASE("field selectors") {
  auto value_of = [](std::string_view field) -> std::string {
    if (field == "metadata.name") return "a,b=c\\";
    return field == "status.phase" ? "Running" : "";
  };
  auto parse = [](const char* text) { return FieldSelector::parse(text); };
  CHECK(parse("")->empty());
  CHECK(parse("status.phase=Running")->matches(value_of));
  CHECK(parse("status.phase==Running,spec.nodeName=")->matches(value_of));
  CHECK_FALSE(parse("status.phase!=Running")->matches(value_of));
  CHECK(parse("metadata.name=a\\,b\\=c\\\\")->matches(value_of));
  CHECK(parse("x=1,metadata.name=n")->exact("metadata.name") == "n");
  CHECK(parse("metadata.name!=n")->exact("metadata.name") == std::nullopt);
  CHECK(parse("foo").error() == "invalid selector: 'foo'; can't understand 'foo'");
  CHECK(parse("a=b\\x").error() == "invalid field selector: invalid escape sequence: \\x");
  CHECK(parse("a=b\\").error() == "invalid field selector: invalid escape sequence: \\");
  CHECK(parse("a=b=c").error() == "invalid field selector: unescaped character in value: 61");
}
