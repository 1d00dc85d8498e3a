// top nodes, top pods: what metrics.k8s.io says is used.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>

#include "ctl/printers/table.h"
#include "ctl/write.h"
#include "orch/api/value.h"
#include "orch/base/strings.h"

namespace orch::ctl {
namespace {

using api::JsonValue;

struct Usage {
  std::string namespace_, name, container;
  int64_t cpu_milli = 0, memory_bytes = 0;
};

api::Quantity amount(const JsonValue& value) {
  return api::Quantity::parse(value.text()).value_or(api::Quantity());
}

void add(Usage& usage, const JsonValue& amounts) {
  usage.cpu_milli += amount(amounts.get("cpu")).milli();
  usage.memory_bytes += amount(amounts.get("memory")).value();
}

std::string cpu_text(int64_t milli) { return fmt::format("{}m", milli); }
std::string memory_text(int64_t bytes) { return fmt::format("{}Mi", bytes / (1024 * 1024)); }
std::string percent(int64_t used, int64_t whole) {
  if (whole == 0) return "<unknown>";
  return fmt::format(
      "{}%", static_cast<int64_t>(static_cast<double>(used) / static_cast<double>(whole) * 100));
}

Outcome<std::vector<JsonValue>> metrics(Session& session, const std::string& path,
                                        const std::string& name) {
  ORCH_TRY(const Discovery* known, session.discovery());
  const bool served =
      std::any_of(known->all().begin(), known->all().end(),
                  [](const Resource& resource) { return resource.group == "metrics.k8s.io"; });
  if (!served) return Err(error("Metrics API not available"));
  ORCH_TRY(ApiClient * client, session.api());
  Call call;
  call.target = "/apis/metrics.k8s.io/v1beta1" + path;
  if (!name.empty()) {
    call.target += "/" + net::url_encode(name);
  } else {
    call.target += query_text({{"labelSelector", session.flags.text("selector")},
                               {"fieldSelector", session.flags.text("field-selector")}});
  }
  ORCH_TRY(const JsonValue answer, client->json(call));
  if (!name.empty()) return std::vector<JsonValue>{answer};
  return answer.get("items").items();
}

Outcome<Unit> sort(const Flags& flags, std::vector<Usage>& rows) {
  const std::string by = flags.text("sort-by");
  if (by != "" && by != "cpu" && by != "memory") {
    return Err(error("--sort-by accepts only cpu or memory"));
  }
  std::stable_sort(rows.begin(), rows.end(), [&](const Usage& a, const Usage& b) {
    if (by == "cpu") return a.cpu_milli > b.cpu_milli;
    if (by == "memory") return a.memory_bytes > b.memory_bytes;
    return std::tie(a.namespace_, a.name) < std::tie(b.namespace_, b.name);
  });
  return Unit{};
}

Outcome<int> top_nodes(Session& session, std::vector<std::string> args) {
  ORCH_TRY(const auto found, metrics(session, "/nodes", args.empty() ? "" : args[0]));
  if (found.empty()) return Err(error("metrics not available yet"));
  ORCH_TRY(ApiClient * client, session.api());
  Call call;
  call.target = "/api/v1/nodes";
  ORCH_TRY(const JsonValue nodes, client->json(call));
  std::map<std::string, JsonValue> wholes;
  const char* whole = session.flags.on("show-capacity") ? "status.capacity" : "status.allocatable";
  for (const JsonValue& node : nodes.get("items").items()) {
    wholes[node.at("metadata.name").text()] = node.at(whole);
  }
  std::vector<Usage> used;
  for (const JsonValue& one : found) {
    Usage usage{"", one.at("metadata.name").text(), ""};
    add(usage, one.get("usage"));
    used.push_back(std::move(usage));
  }
  ORCH_CHECK(sort(session.flags, used));
  std::vector<std::vector<std::string>> rows;
  if (!session.flags.on("no-headers")) {
    rows.push_back({"NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"});
  }
  for (const Usage& usage : used) {
    const JsonValue all = wholes[usage.name];
    wholes.erase(usage.name);
    rows.push_back({usage.name, cpu_text(usage.cpu_milli),
                    percent(usage.cpu_milli, amount(all.get("cpu")).milli()),
                    memory_text(usage.memory_bytes),
                    percent(usage.memory_bytes, amount(all.get("memory")).value())});
  }
  if (args.empty() && !session.flags.given("selector")) {
    for (const auto& [name, all] : wholes) {
      rows.push_back({name, "<unknown>", "<unknown>", "<unknown>", "<unknown>"});
    }
  }
  fmt::print("{}", ColumnWriter().lay_out(rows));
  return 0;
}

Outcome<int> top_pods(Session& session, std::vector<std::string> args) {
  const Flags& flags = session.flags;
  const bool everywhere = flags.on("all-namespaces");
  ORCH_TRY(const std::string ns, session.namespace_());
  ORCH_TRY(const auto found,
           metrics(session,
                   everywhere ? "/pods" : fmt::format("/namespaces/{}/pods", net::url_encode(ns)),
                   args.empty() ? "" : args[0]));
  if (found.empty()) {
    fmt::print(stderr, "No resources found{}\n",
               everywhere ? "" : fmt::format(" in {} namespace.", ns));
    return 0;
  }
  const bool by_container = flags.on("containers");
  std::vector<Usage> used;
  for (const JsonValue& pod : found) {
    Usage all{pod.at("metadata.namespace").text(), pod.at("metadata.name").text(), ""};
    for (const JsonValue& container : pod.get("containers").items()) {
      Usage one{all.namespace_, all.name, container.get("name").text()};
      add(one, container.get("usage"));
      add(all, container.get("usage"));
      if (by_container) used.push_back(std::move(one));
    }
    if (!by_container) used.push_back(std::move(all));
  }
  ORCH_CHECK(sort(flags, used));
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> head;
  if (everywhere) head.push_back("NAMESPACE");
  head.push_back(by_container ? "POD" : "NAME");
  if (by_container) head.push_back("NAME");
  head.insert(head.end(), {"CPU(cores)", "MEMORY(bytes)"});
  if (!flags.on("no-headers")) rows.push_back(head);
  Usage sum;
  for (const Usage& usage : used) {
    std::vector<std::string> row;
    if (everywhere) row.push_back(usage.namespace_);
    row.push_back(usage.name);
    if (by_container) row.push_back(usage.container);
    row.insert(row.end(), {cpu_text(usage.cpu_milli), memory_text(usage.memory_bytes)});
    rows.push_back(std::move(row));
    sum.cpu_milli += usage.cpu_milli;
    sum.memory_bytes += usage.memory_bytes;
  }
  if (flags.on("sum")) {
    const size_t before = head.size() - 2;
    std::vector<std::string> line(before), total(before);
    line.insert(line.end(), {"________", "________"});
    total.insert(total.end(), {cpu_text(sum.cpu_milli), memory_text(sum.memory_bytes)});
    rows.push_back(std::move(line));
    rows.push_back(std::move(total));
  }
  fmt::print("{}", ColumnWriter().lay_out(rows));
  return 0;
}

constexpr SubVerb kSubVerbs[] = {{"node", "nodes", top_nodes}, {"pod", "pods", top_pods}};

}  // namespace

Verb top_verb() {
  using Kind = Flag::Kind;
  std::vector<Flag> flags = {
      {"sort-by", 0, Kind::kText, "", "cpu or memory"},
      {"no-headers", 0, Kind::kBool, "false", "no first line with the columns' names"},
      {"containers", 0, Kind::kBool, "false", "pods: a line a container"},
      {"sum", 0, Kind::kBool, "false", "pods: the sum at the end"},
      {"show-capacity", 0, Kind::kBool, "false", "nodes: percentages of the capacity"},
      {"use-protocol-buffers", 0, Kind::kBool, "true", "for kubectl's sake; nothing changes"}};
  return {"top", "Show what nodes and pods use", "top (nodes | pods) [NAME | -l SELECTOR]",
          flags + selector_flags(),
          [](Session& session) { return run_sub_verb(session, "top", kSubVerbs); }};
}

}  // namespace orch::ctl
