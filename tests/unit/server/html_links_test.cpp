// Links of pages that come through proxies.
#include <catch2/catch.hpp>

#include "server/api/subresources/html_links.h"
#include "server/api/subresources/proxy_target.h"

using orch::server::HtmlLinks;

namespace {

std::string through(std::string_view page, size_t piece) {
  HtmlLinks links([](std::string_view link) {
    return orch::server::rewrite_location(link, "/p/proxy", "http://10.0.0.1:80", "front");
  });
  std::string out;
  for (size_t at = 0; at < page.size(); at += piece) out += links.feed(page.substr(at, piece));
  return out + links.finish();
}

struct Case {
  const char* page;
  const char* want;
};

}  // namespace

TEST_CASE("links lead through the proxy, whatever the pieces are that the page comes in") {
  const Case cases[] = {
      {"<a href=\"/x\">t</a>", "<a href=\"/p/proxy/x\">t</a>"},
      {"<A HREF='/x'>t</A>", "<A HREF='/p/proxy/x'>t</A>"},
      {"<img alt=a src=/i.png>", "<img alt=a src=/p/proxy/i.png>"},
      {"<img src = \"/i.png\" alt=\"a > b\"/>", "<img src = \"/p/proxy/i.png\" alt=\"a > b\"/>"},
      {"<a href=\"x\">", "<a href=\"x\">"},
      {"<a href=\"http://10.0.0.1:80/x?q=1\">", "<a href=\"/p/proxy/x?q=1\">"},
      {"<a href=\"http://elsewhere/x\">", "<a href=\"http://elsewhere/x\">"},
      {"<a href=\"/p/proxy/x\">", "<a href=\"/p/proxy/x\">"},
      {"<a name=/x>", "<a name=/x>"},
      {"<p title=\"<a href='/x'>\">", "<p title=\"<a href='/x'>\">"},
      {"<!-- <a href=\"/x\"> --><a href=\"/y\">",
       "<!-- <a href=\"/x\"> --><a href=\"/p/proxy/y\">"},
      {"<script src=\"/s.js\">if (a<b) '<a href=\"/x\">'</script><a href=\"/y\">",
       "<script src=\"/p/proxy/s.js\">if (a<b) '<a href=\"/x\">'</script><a href=\"/p/proxy/y\">"},
      {"1 < 2 <b>", "1 < 2 <b>"},
      {"<pre><a href=\"/rewriteme\">test</a></pre>\n",
       "<pre><a href=\"/p/proxy/rewriteme\">test</a></pre>\n"},
      {"<a href=\"/cut", "<a href=\"/cut"},
      {"<a href", "<a href"},
      {"<", "<"},
      {"<a href=>x", "<a href=>x"},
      {"<a href= >x", "<a href= >x"},
      {"<a = />x", "<a = />x"},
  };
  for (const Case& c : cases) {
    for (size_t piece : {1, 2, 3, 7, 1000}) {
      INFO(c.page << " in pieces of " << piece);
      CHECK(through(c.page, piece) == c.want);
    }
  }
}

TEST_CASE("a tag without end does not wait for ever") {
  HtmlLinks links([](std::string_view link) { return std::string(link); });
  std::string out = links.feed("<a ");
  for (int i = 0; i < 100; ++i) out += links.feed(std::string(1000, 'x'));
  CHECK(out.size() > 60'000);
}
