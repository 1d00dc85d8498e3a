// DNS messages on the wire (RFC 1035, 3596, 2782, 6891): reading without trust, writing with
// compression. Names are absolute, without the last dot; labels hold any bytes, and a dot or
// backslash inside one is escaped as "\." and "\\". Private to net/dns.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orch::net::dns {

enum Type : uint16_t {
  kA = 1,
  kNs = 2,
  kCname = 5,
  kSoa = 6,
  kPtr = 12,
  kMx = 15,
  kTxt = 16,
  kAaaa = 28,
  kSrv = 33,
  kDname = 39,
  kOpt = 41,
  kAny = 255,
};
enum Rcode : uint8_t {
  kNoError = 0,
  kFormatError = 1,
  kServerFailure = 2,
  kNameError = 3,
  kNotImplemented = 4,
  kRefused = 5,
};
inline constexpr uint16_t kClassIn = 1, kClassAny = 255;
inline constexpr size_t kHeaderBytes = 12, kNameBytesMax = 255;

struct Header {
  uint16_t id = 0;
  bool reply = false, authoritative = false, truncated = false, recursion_desired = false,
       recursion_available = false, checking_disabled = false;
  uint8_t opcode = 0, rcode = 0;
  uint16_t questions = 0, answers = 0, authorities = 0, additionals = 0;
};

struct Question {
  std::string name;       // lower case
  std::string wire_name;  // as it came, uncompressed, with its case
  uint16_t type = 0, class_ = 0;
  size_t end = 0;  // offset after the question
};

struct Edns {
  uint16_t udp_bytes = 512;
  uint8_t version = 0;
  bool dnssec_ok = false;
};

struct Query {
  Header header;
  Question question;
  std::optional<Edns> edns;
};

std::optional<Header> read_header(std::string_view message);
// The name at `offset`, lower case if asked; moves `offset` behind it. Follows compression pointers
// only backwards, so it ends.
std::optional<std::string> read_name(std::string_view message, size_t& offset, bool lower);
std::optional<Question> read_question(std::string_view message);
// Header, the one question, EDNS0. nullopt with `rcode` set: answer so; without a readable header
// there is nothing to answer.
std::optional<Query> read_query(std::string_view message, uint8_t& rcode);

struct Record {
  std::string name;
  uint16_t type = 0, class_ = kClassIn;
  uint32_t ttl = 0;
  size_t ttl_offset = 0;  // in the message it was read from
  size_t data_offset = 0, data_size = 0;
  int section = 1;  // 1 answer, 2 authority, 3 additional
};
// All records; nullopt if any is malformed.
std::optional<std::vector<Record>> read_records(std::string_view message);

class Writer {
 public:
  explicit Writer(size_t size_max) : size_max_(size_max) {}
  void start(const Query& query, uint8_t rcode, bool authoritative);
  // Each returns false, and writes nothing, if the record does not fit.
  bool a(int section, const std::string& name, uint32_t ttl, uint32_t address);
  bool aaaa(int section, const std::string& name, uint32_t ttl, std::string_view bytes);
  bool name_record(int section, uint16_t type, const std::string& name, uint32_t ttl,
                   const std::string& target);
  bool srv(int section, const std::string& name, uint32_t ttl, uint16_t port,
           const std::string& target);
  bool txt(int section, const std::string& name, uint32_t ttl, std::string_view text);
  bool soa(int section, const std::string& name, uint32_t ttl, const std::string& server,
           const std::string& mailbox, uint32_t minimum);
  // Copies a record of another message, with the names inside it written out.
  bool copy(int section, std::string_view message, const Record& record);
  void set_truncated();
  void set_rcode(uint8_t rcode);
  std::string finish();  // adds EDNS0 if the query had it

 private:
  bool record(int section, const std::string& name, uint16_t type, uint16_t class_, uint32_t ttl,
              std::string_view data, const std::string* data_name);
  void put16(uint16_t value);
  void put32(uint32_t value);
  void put_name(const std::string& name, bool compress);
  size_t size_max_;
  std::string out_;
  std::map<std::string, uint16_t> offsets_;  // of names already written
  std::optional<Edns> edns_;
  uint16_t counts_[4] = {};
};

// "a.b" -> wire form; nullopt if a label or the whole is too long or empty.
std::optional<std::string> to_wire(std::string_view name);
std::vector<std::string> labels_of(std::string_view name);
void write16(std::string& message, size_t offset, uint16_t value);
uint16_t read16(std::string_view message, size_t offset);
uint32_t read32(std::string_view message, size_t offset);

// A reply of header and question only.
std::string bare_reply(const Query& query, uint8_t rcode, bool truncated = false);
// The same for a message whose question cannot be read.
std::string bare_error(const Header& header, uint8_t rcode);
// Bytes the client takes over UDP.
size_t udp_size_max(const Query& query);

}  // namespace orch::net::dns
