#include "server/api/subresources/html_links.h"

#include <algorithm>
#include <array>
#include <utility>

#include "orch/base/strings.h"

namespace orch::server {
namespace {

constexpr size_t kTagBytesMax = 64 * 1024;
constexpr std::string_view kSpace = " \t\r\n\f";

// "element:attribute," pairs whose values are URLs.
constexpr std::string_view kLinks =
    ",a:href,applet:codebase,area:href,audio:src,base:href,blockquote:cite,body:background,"
    "button:formaction,command:icon,del:cite,embed:src,form:action,frame:longdesc,frame:src,"
    "head:profile,html:manifest,iframe:longdesc,iframe:src,img:longdesc,img:src,img:usemap,"
    "input:src,input:usemap,input:formaction,ins:cite,link:href,object:classid,object:codebase,"
    "object:data,object:usemap,q:cite,script:src,source:src,video:poster,video:src,";
constexpr std::array<std::string_view, 8> kRawText{"script", "style",   "textarea", "title",
                                                   "xmp",    "noembed", "noframes", "iframe"};

bool is_link(std::string_view element, std::string_view attribute) {
  std::string pair = ",";
  pair.append(element).append(":").append(attribute).append(",");
  return kLinks.find(pair) != std::string_view::npos;
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Position after the '>' that ends the tag at the front of `text`; npos: it is not whole.
size_t end_of_tag(std::string_view text) {
  char quote = 0;
  char before = 0;  // the last character that was no space
  for (size_t i = 1; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if ((c == '"' || c == '\'') && before == '=') {
      quote = c;
    } else if (c == '>') {
      return i + 1;
    }
    if (kSpace.find(c) == std::string_view::npos) before = c;
  }
  return std::string_view::npos;
}

size_t find_insensitive(std::string_view text, std::string_view lower) {
  const auto at = std::search(text.begin(), text.end(), lower.begin(), lower.end(),
                              [](char a, char b) { return to_lower(std::string(1, a))[0] == b; });
  return at == text.end() ? std::string_view::npos : static_cast<size_t>(at - text.begin());
}

}  // namespace

std::string HtmlLinks::feed(std::string_view bytes) {
  waiting_.append(bytes);
  std::string out;
  size_t done = 0;
  while (done < waiting_.size()) {
    const size_t taken = step(std::string_view(waiting_).substr(done), out);
    if (taken == 0) break;
    done += taken;
  }
  waiting_.erase(0, done);
  return out;
}

std::string HtmlLinks::finish() { return std::exchange(waiting_, {}); }

// Moves one piece of the front of `text` to `out` and says how long it was; 0: more bytes are
// needed.
size_t HtmlLinks::step(std::string_view text, std::string& out) {
  const auto pass = [&](size_t count) {
    out.append(text.substr(0, count));
    return count;
  };
  if (!raw_until_.empty()) {
    const size_t end = find_insensitive(text, raw_until_);
    if (end == 0 || (end == std::string_view::npos && text.size() < raw_until_.size())) {
      if (end != 0) return 0;
      raw_until_.clear();
    } else {
      // The end may be cut in two: its first part waits.
      return pass(end != std::string_view::npos ? end : text.size() - raw_until_.size() + 1);
    }
  }
  if (text[0] != '<') return pass(std::min(text.find('<'), text.size()));
  if (text.size() < 4 && !text.ends_with('>')) return 0;
  if (text.starts_with("<!--")) {
    const size_t end = text.find("-->");
    if (end != std::string_view::npos) return pass(end + 3);
    return text.size() > kTagBytesMax ? pass(text.size() - 2) : 0;
  }
  if (!is_letter(text[1])) return pass(1);
  const size_t end = end_of_tag(text);
  if (end == std::string_view::npos) return text.size() > kTagBytesMax ? pass(text.size()) : 0;
  tag(text.substr(0, end), out);
  return end;
}

void HtmlLinks::tag(std::string_view text, std::string& out) {
  const size_t name_end = std::min(text.find_first_of(" \t\r\n\f/>"), text.size());
  const std::string element = to_lower(std::string(text.substr(1, name_end - 1)));
  out.append(text.substr(0, name_end));
  attributes(element, text.substr(name_end), out);
  const bool raw = std::find(kRawText.begin(), kRawText.end(), element) != kRawText.end();
  if (raw) raw_until_ = "</" + element;
}

void HtmlLinks::attributes(std::string_view element, std::string_view text, std::string& out) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t name = text.find_first_not_of(" \t\r\n\f/>", at);
    if (name == std::string_view::npos) break;
    const size_t name_end = std::min(text.find_first_of(" \t\r\n\f/>=", name), text.size());
    const size_t equals = text.find_first_not_of(kSpace, name_end);
    if (name_end == name || equals == std::string_view::npos || text[equals] != '=') {
      const size_t next = std::max(name_end, name + 1);
      out.append(text.substr(at, next - at));
      at = next;
      continue;
    }
    size_t value = std::min(text.find_first_not_of(kSpace, equals + 1), text.size() - 1);
    size_t value_end, next;
    if (text[value] == '"' || text[value] == '\'') {
      value_end = std::min(text.find(text[value], value + 1), text.size());
      next = value_end;
      ++value;
    } else {
      value_end = next = std::min(text.find_first_of(" \t\r\n\f>", value), text.size());
    }
    out.append(text.substr(at, value - at));
    const std::string_view old = text.substr(value, value_end - value);
    const std::string attribute = to_lower(std::string(text.substr(name, name_end - name)));
    out.append(is_link(element, attribute) ? rewrite_(old) : std::string(old));
    at = next;
    if (at < text.size() && (text[at] == '"' || text[at] == '\'')) out.push_back(text[at++]);
  }
  out.append(text.substr(at));
}

}  // namespace orch::server
