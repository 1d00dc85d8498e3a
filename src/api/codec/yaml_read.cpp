// YAML to JSON text: yaml-cpp's events make a tree in which aliases share their node; the tree is
// written out under limits, so that a few lines cannot stand for gigabytes.
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <deque>
#include <istream>
#include <map>
#include <optional>

#include "api/codec/json_text.h"
#include "api/codec/yaml_input.h"
#include "api/codec/yaml_scalar.h"
#include "orch/api/codec.h"
#include "orch/base/strings.h"

namespace orch::api {

namespace codec {

namespace {

struct Node {
  enum class Kind : uint8_t { kScalar, kSequence, kMap };
  Kind kind = Kind::kScalar;
  YamlScalar plain;  // kScalar: kString for everything quoted
  std::string text;  // kScalar
  struct Item {
    Node* node;
    bool alias;
  };
  std::vector<Item> items;  // kMap: keys and values in turn
  int line = 0;
  bool open = false;  // being written: an alias to it would be endless
};

// A document of more values than this is no Kubernetes object; a value takes up to 200 bytes.
constexpr size_t kValuesMax = 250'000;

class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(YamlInput& input) : input_(input) {}
  Node* root() const { return root_; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Node& node = add(mark, anchor);
    node.plain = {YamlKind::kNull, "null"};
    place(node, false);
  }
  void OnAlias(const YAML::Mark&, YAML::anchor_t anchor) override {
    input_.parsed(in_flow());
    count();
    place(*anchors_.at(anchor), true);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node& node = add(mark, anchor);
    node.text = value;
    resolve(node, tag);
    place(node, false);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    open(Node::Kind::kSequence, mark, anchor, style);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    open(Node::Kind::kMap, mark, anchor, style);
  }
  void OnMapEnd() override { close(); }

 private:
  bool in_flow() const { return flows_ > 0; }
  void count() {
    if (++values_ > kValuesMax) {
      throw TooMuchYaml("document has more than " + std::to_string(kValuesMax) + " values");
    }
  }
  Node& add(const YAML::Mark& mark, YAML::anchor_t anchor) {
    input_.parsed(in_flow());
    count();
    Node& node = nodes_.emplace_back();
    node.line = mark.line + 1;
    if (anchor != YAML::NullAnchor) anchors_[anchor] = &node;
    return node;
  }
  void place(Node& node, bool alias) {
    if (open_.empty()) {
      root_ = &node;
    } else {
      open_.back()->items.push_back({&node, alias});
    }
  }
  void open(Node::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor,
            YAML::EmitterStyle::value style) {
    if (flows_ > 0 || style == YAML::EmitterStyle::Flow) flows_++;
    Node& node = add(mark, anchor);
    node.kind = kind;
    place(node, false);
    open_.push_back(&node);
  }
  void close() {
    open_.pop_back();
    if (flows_ > 0) flows_--;  // within flow style nothing else is
    input_.parsed(in_flow());
  }
  static void resolve(Node& node, std::string_view tag);

  YamlInput& input_;
  size_t values_ = 0;
  size_t flows_ = 0;  // collections open since the outermost in flow style, with it
  std::deque<Node> nodes_;
  std::map<YAML::anchor_t, Node*> anchors_;
  std::vector<Node*> open_;
  Node* root_ = nullptr;
};

void TreeBuilder::resolve(Node& node, std::string_view tag) {
  constexpr std::string_view kPrefix = "tag:yaml.org,2002:";
  if (tag == "!") return;  // quoted
  if (tag.starts_with(kPrefix)) {
    tag.remove_prefix(kPrefix.size());
    if (tag == "str") return;
    if (tag == "binary") {
      if (auto bytes = base64_decode(node.text)) node.text = std::move(*bytes);
      return;
    }
  }
  node.plain = resolve_plain(node.text);
  if (tag == "float" && node.plain.kind == YamlKind::kString) node.plain.kind = YamlKind::kNull;
}

// Writes a tree as JSON; stops at the first error.
class JsonWriter {
 public:
  explicit JsonWriter(size_t input_size) : size_max_(64'000'000 + 16 * input_size) {}
  bool write(Node& node, bool alias, int depth);
  std::string out, error;
  std::string duplicates;  // Go's lines about them

 private:
  using Members = std::vector<std::pair<std::string, Node::Item>>;

  bool fail(std::string why) {
    error = "yaml: " + std::move(why);
    return false;
  }
  bool count(bool alias);
  bool scalar(const Node& node);
  bool members(const Node& map, Members& out, int depth);
  bool merge(Node& value, Members& out, int depth);
  std::optional<std::string> key_text(const Node& key);

  const size_t size_max_;
  double nodes_ = 0, alias_nodes_ = 0;
  int alias_depth_ = 0;
};

// Go's rule: what aliases bring may be nearly all of a small document, a tenth of a huge one.
bool JsonWriter::count(bool alias) {
  nodes_++;
  if (alias || alias_depth_ > 0) alias_nodes_++;
  constexpr double kLow = 400'000, kHigh = 4'000'000;
  const double ratio_max = nodes_ <= kLow    ? 0.99
                           : nodes_ >= kHigh ? 0.10
                                             : 0.99 - 0.89 * (nodes_ - kLow) / (kHigh - kLow);
  const bool too_many = alias_nodes_ > 100 && nodes_ > 1000 && alias_nodes_ / nodes_ > ratio_max;
  if (too_many || out.size() > size_max_) return fail("document contains excessive aliasing");
  return true;
}

bool JsonWriter::scalar(const Node& node) {
  switch (node.plain.kind) {
    case YamlKind::kNull:
      out += "null";
      return true;
    case YamlKind::kBool:
    case YamlKind::kNumber:
      out += node.plain.json;
      return true;
    case YamlKind::kNotFinite:
      error = "json: unsupported value: " + node.text;
      return false;
    default:
      append_string(out, node.text);
      return true;
  }
}

std::optional<std::string> JsonWriter::key_text(const Node& key) {
  if (key.kind == Node::Kind::kScalar && key.plain.kind != YamlKind::kNull) {
    const bool plain = key.plain.kind == YamlKind::kBool || key.plain.kind == YamlKind::kNumber;
    return plain ? key.plain.json : key.text;
  }
  fail("line " + std::to_string(key.line) + ": invalid map key");
  return std::nullopt;
}

bool JsonWriter::merge(Node& value, Members& out_members, int depth) {
  if (depth > 100) return fail("exceeded max depth");
  if (value.kind == Node::Kind::kSequence) {
    for (const Node::Item& item : value.items)
      if (item.node->kind != Node::Kind::kMap)
        return fail("map merge requires map or sequence of maps as the value");
    // The first map wins.
    for (const Node::Item& item : value.items)
      if (!merge(*item.node, out_members, depth + 1)) return false;
    return true;
  }
  if (value.kind != Node::Kind::kMap)
    return fail("map merge requires map or sequence of maps as the value");
  Members merged;
  if (!count(true) || !members(value, merged, depth + 1)) return false;
  for (auto& [name, item] : merged) {
    if (!count(true)) return false;
    bool known = false;
    for (const auto& member : out_members) known |= member.first == name;
    if (!known) out_members.emplace_back(std::move(name), Node::Item{item.node, true});
  }
  return true;
}

// A map's members by name, merges ("<<") dissolved; of a name given twice the last.
bool JsonWriter::members(const Node& map, Members& out_members, int depth) {
  std::map<std::string, size_t> index;
  std::vector<Node*> merges;
  for (size_t i = 0; i + 1 < map.items.size(); i += 2) {
    const Node& key = *map.items[i].node;
    if (key.kind == Node::Kind::kScalar && key.plain.kind == YamlKind::kMerge) {
      merges.push_back(map.items[i + 1].node);
      continue;
    }
    auto name = key_text(key);
    if (!name) return false;
    const auto [at, fresh] = index.emplace(*name, out_members.size());
    if (fresh) {
      out_members.emplace_back(std::move(*name), map.items[i + 1]);
      continue;
    }
    out_members[at->second].second = map.items[i + 1];
    duplicates += "\n  line " + std::to_string(map.items[i + 1].node->line) + ": key \"" + *name +
                  "\" already set in map";
  }
  for (Node* value : merges)
    if (!merge(*value, out_members, depth)) return false;
  return true;
}

bool JsonWriter::write(Node& node, bool alias, int depth) {
  if (depth > 1000) return fail("exceeded max depth");
  if (!count(alias)) return false;
  if (node.kind == Node::Kind::kScalar) return scalar(node);
  if (node.open) return fail("anchor value contains itself");
  node.open = true;
  if (alias) alias_depth_++;
  bool good = true, first = true;
  if (node.kind == Node::Kind::kSequence) {
    out += '[';
    for (const Node::Item& item : node.items) {
      if (!first) out += ',';
      first = false;
      if (!(good = write(*item.node, item.alias, depth + 1))) break;
    }
    out += ']';
  } else {
    Members found;
    good = members(node, found, 0);
    out += '{';
    for (const auto& [name, item] : found) {
      if (!good) break;
      if (!first) out += ',';
      first = false;
      append_string(out, name);
      out += ':';
      good = count(alias) && write(*item.node, item.alias, depth + 1);
    }
    out += '}';
  }
  if (alias) alias_depth_--;
  node.open = false;
  return good;
}

// "null" for an empty document.
Result<std::string, DecodeError> convert(std::string_view yaml,
                                         std::vector<std::string>* findings) {
  if (std::string why = check_yaml_characters(yaml); !why.empty()) {
    return Err(DecodeError{"yaml: " + why});
  }
  YamlInput input(yaml);
  TreeBuilder tree(input);
  try {
    std::istream in(&input);
    in.exceptions(std::ios::badbit);  // what the input throws gets out
    YAML::Parser parser(in);
    parser.HandleNextDocument(tree);
  } catch (const YAML::DeepRecursion&) {
    return Err(DecodeError{"yaml: exceeded max depth"});
  } catch (const TooMuchYaml& e) {
    return Err(DecodeError{std::string("yaml: ") + e.what()});
  } catch (const YAML::Exception& e) {
    const std::string where =
        e.mark.is_null() ? "" : "line " + std::to_string(e.mark.line + 1) + ": ";
    return Err(DecodeError{"yaml: " + where + e.msg});
  } catch (const std::exception& e) {
    return Err(DecodeError{std::string("yaml: ") + e.what()});
  }
  if (!tree.root()) return std::string("null");
  JsonWriter writer(yaml.size());
  if (!writer.write(*tree.root(), false, 0)) return Err(DecodeError{std::move(writer.error)});
  if (findings && !writer.duplicates.empty())
    findings->push_back("yaml: unmarshal errors:" + writer.duplicates);
  return std::move(writer.out);
}

// JSON is YAML too, and needs no second parser.
bool is_json_object(std::string_view text) {
  const std::string_view content = trim(text);
  return content.starts_with('{') && is_json(content);
}

}  // namespace

}  // namespace codec

Result<std::string, DecodeError> yaml_to_json(std::string_view yaml,
                                              std::vector<std::string>* strict_findings) {
  if (codec::is_json_object(yaml)) return std::string(trim(yaml));
  return codec::convert(yaml, strict_findings);
}

Result<std::vector<std::string>, DecodeError> yaml_documents_to_json(std::string_view yaml) {
  std::vector<std::string> documents;
  std::string current;
  const auto finish = [&]() -> Result<Unit, DecodeError> {
    ORCH_TRY(std::string json, yaml_to_json(current));
    current.clear();
    if (json != "null") documents.push_back(std::move(json));
    return Unit{};
  };
  while (!yaml.empty()) {
    const size_t length = std::min(yaml.find('\n'), yaml.size() - 1) + 1;
    std::string_view line = yaml.substr(0, length);
    yaml.remove_prefix(length);
    if (line.starts_with("---") &&
        (line.size() == 3 || std::string_view(" \t\r\n").find(line[3]) != std::string_view::npos)) {
      ORCH_CHECK(finish());
      line.remove_prefix(3);
    }
    current += line;
  }
  ORCH_CHECK(finish());
  return documents;
}

}  // namespace orch::api
