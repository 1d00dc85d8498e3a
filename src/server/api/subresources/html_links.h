// The links of an HTML page that came through a proxy, made to lead through it again. A stream:
// bytes go in as they come, with the page's bytes between its links unchanged. One thread at a
// time. Attributes as in the HTML standard's index of those that hold URLs.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace orch::server {

class HtmlLinks {
 public:
  // Of an attribute's value, as it stands in the page: what is to stand there.
  using Rewrite = std::function<std::string(std::string_view)>;
  explicit HtmlLinks(Rewrite rewrite) : rewrite_(std::move(rewrite)) {}

  // What of the page is ready; an unfinished tag waits for its end, up to 64 KiB of it.
  std::string feed(std::string_view bytes);
  std::string finish();  // what waits, unchanged

 private:
  size_t step(std::string_view text, std::string& out);
  void tag(std::string_view text, std::string& out);
  void attributes(std::string_view element, std::string_view text, std::string& out);

  Rewrite rewrite_;
  std::string waiting_;
  std::string raw_until_;  // "</script": inside an element whose text is no markup
};

}  // namespace orch::server
