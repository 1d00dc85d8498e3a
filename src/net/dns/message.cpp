#include "net/dns/message.h"

#include <algorithm>
#include <cstring>

namespace orch::net::dns {

namespace {

constexpr size_t kUdpBytesMax = 1232;  // fits every path without fragments (DNS flag day 2020)
constexpr int kPointersMax = 64;

char lower_case(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

void append_label(std::string& name, std::string_view label, bool lower) {
  if (!name.empty()) name += '.';
  for (char c : label) {
    if (c == '.' || c == '\\') name += '\\';
    name += lower ? lower_case(c) : c;
  }
}

}  // namespace

uint16_t read16(std::string_view m, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(m[at]) << 8 | static_cast<uint8_t>(m[at + 1]));
}
uint32_t read32(std::string_view m, size_t at) {
  return static_cast<uint32_t>(read16(m, at)) << 16 | read16(m, at + 2);
}
void write16(std::string& message, size_t offset, uint16_t value) {
  message[offset] = static_cast<char>(value >> 8);
  message[offset + 1] = static_cast<char>(value);
}

// ---- reading ----

std::optional<Header> read_header(std::string_view m) {
  if (m.size() < kHeaderBytes) return std::nullopt;
  Header h;
  h.id = read16(m, 0);
  uint16_t flags = read16(m, 2);
  h.reply = flags & 0x8000;
  h.opcode = flags >> 11 & 15;
  h.authoritative = flags & 0x0400;
  h.truncated = flags & 0x0200;
  h.recursion_desired = flags & 0x0100;
  h.recursion_available = flags & 0x0080;
  h.checking_disabled = flags & 0x0010;
  h.rcode = flags & 15;
  h.questions = read16(m, 4);
  h.answers = read16(m, 6);
  h.authorities = read16(m, 8);
  h.additionals = read16(m, 10);
  return h;
}

std::optional<std::string> read_name(std::string_view m, size_t& offset, bool lower) {
  std::string name;
  size_t at = offset, total = 1;
  size_t limit = m.size();  // a pointer must lead before where it stands
  bool jumped = false;
  for (int pointers = 0;;) {
    if (at >= m.size()) return std::nullopt;
    uint8_t length = static_cast<uint8_t>(m[at]);
    if (length == 0) {
      if (!jumped) offset = at + 1;
      return name;
    }
    if ((length & 0xc0) == 0xc0) {
      if (at + 1 >= m.size() || ++pointers > kPointersMax) return std::nullopt;
      size_t to = read16(m, at) & 0x3fff;
      if (!jumped) offset = at + 2;
      if (to >= std::min(limit, at)) return std::nullopt;
      limit = to;
      at = to;
      jumped = true;
      continue;
    }
    if (length & 0xc0 || at + 1 + length > m.size()) return std::nullopt;
    total += length + size_t{1};
    if (total > kNameBytesMax) return std::nullopt;
    append_label(name, m.substr(at + 1, length), lower);
    at += 1 + length;
  }
}

std::optional<Question> read_question(std::string_view m) {
  if (m.size() < kHeaderBytes) return std::nullopt;
  Question q;
  size_t at = kHeaderBytes;
  auto name = read_name(m, at, true);
  if (!name || at + 4 > m.size()) return std::nullopt;
  q.name = *std::move(name);
  q.wire_name = std::string(m.substr(kHeaderBytes, at - kHeaderBytes));
  q.type = read16(m, at);
  q.class_ = read16(m, at + 2);
  q.end = at + 4;
  return q;
}

std::optional<std::vector<Record>> read_records(std::string_view m) {
  auto header = read_header(m);
  if (!header || header->questions > 1) return std::nullopt;
  size_t at = kHeaderBytes;
  if (header->questions == 1) {
    auto question = read_question(m);
    if (!question) return std::nullopt;
    at = question->end;
  }
  std::vector<Record> records;
  const uint16_t counts[] = {header->answers, header->authorities, header->additionals};
  for (int section = 1; section <= 3; ++section) {
    for (int i = 0; i < counts[section - 1]; ++i) {
      Record r;
      auto name = read_name(m, at, false);
      if (!name || at + 10 > m.size()) return std::nullopt;
      r.name = *std::move(name);
      r.section = section;
      r.type = read16(m, at);
      r.class_ = read16(m, at + 2);
      r.ttl = read32(m, at + 4);
      r.ttl_offset = at + 4;
      r.data_size = read16(m, at + 8);
      r.data_offset = at + 10;
      at += 10 + r.data_size;
      if (at > m.size()) return std::nullopt;
      records.push_back(std::move(r));
    }
  }
  return records;
}

std::optional<Query> read_query(std::string_view m, uint8_t& rcode) {
  rcode = kFormatError;
  auto header = read_header(m);
  if (!header) return std::nullopt;
  if (header->opcode != 0) {
    rcode = kNotImplemented;
    return std::nullopt;
  }
  if (header->questions != 1) return std::nullopt;
  auto question = read_question(m);
  // A question's name stands first: nothing it could point back to.
  if (!question || question->wire_name.empty() || question->wire_name.back() != '\0') {
    return std::nullopt;
  }
  auto records = read_records(m);
  if (!records) return std::nullopt;
  Query query{*header, *std::move(question), std::nullopt};
  for (const Record& record : *records) {
    if (record.type != kOpt || record.section != 3) continue;
    if (query.edns || !record.name.empty()) return std::nullopt;
    Edns edns;
    edns.udp_bytes = record.class_;
    edns.version = static_cast<uint8_t>(record.ttl >> 16);
    edns.dnssec_ok = record.ttl & 0x8000;
    query.edns = edns;
  }
  rcode = kNoError;
  return query;
}

// ---- writing ----

std::vector<std::string> labels_of(std::string_view name) {
  std::vector<std::string> labels;
  if (name.empty()) return labels;
  labels.emplace_back();
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '\\' && i + 1 < name.size()) {
      labels.back() += name[++i];
    } else if (name[i] == '.') {
      labels.emplace_back();
    } else {
      labels.back() += name[i];
    }
  }
  return labels;
}

std::optional<std::string> to_wire(std::string_view name) {
  std::string wire;
  for (const std::string& label : labels_of(name)) {
    if (label.empty() || label.size() > 63) return std::nullopt;
    wire.push_back(static_cast<char>(label.size()));
    wire += label;
  }
  wire.push_back('\0');
  if (wire.size() > kNameBytesMax) return std::nullopt;
  return wire;
}

void Writer::put16(uint16_t value) {
  out_.push_back(static_cast<char>(value >> 8));
  out_.push_back(static_cast<char>(value));
}
void Writer::put32(uint32_t value) {
  put16(static_cast<uint16_t>(value >> 16));
  put16(static_cast<uint16_t>(value));
}

void Writer::start(const Query& query, uint8_t rcode, bool authoritative) {
  const Header& h = query.header;
  out_.assign(kHeaderBytes, '\0');
  write16(out_, 0, h.id);
  write16(out_, 2,
          static_cast<uint16_t>(0x8080 | (authoritative ? 0x0400 : 0) |
                                (h.recursion_desired ? 0x0100 : 0) |
                                (h.checking_disabled ? 0x0010 : 0) | rcode));
  counts_[0] = 1;
  // Answers refer back to the question's name, which keeps the case the client wrote.
  std::string_view rest = query.question.name;
  size_t at = kHeaderBytes;
  out_ += query.question.wire_name;
  while (!rest.empty() && at < 0x3fff) {
    offsets_.try_emplace(std::string(rest), static_cast<uint16_t>(at));
    size_t dot = 0;
    while (dot < rest.size() && rest[dot] != '.') dot += rest[dot] == '\\' ? 2 : 1;
    at += 1 + static_cast<uint8_t>(out_[at]);
    rest = dot < rest.size() ? rest.substr(dot + 1) : std::string_view();
  }
  put16(query.question.type);
  put16(query.question.class_);
  edns_ = query.edns;
}

void Writer::put_name(const std::string& name, bool compress) {
  std::string_view rest = name;
  while (!rest.empty()) {
    std::string lower(rest);
    std::transform(lower.begin(), lower.end(), lower.begin(), lower_case);
    auto known = offsets_.find(lower);
    if (compress && known != offsets_.end()) {
      put16(0xc000 | known->second);
      return;
    }
    if (out_.size() < 0x3fff) offsets_.try_emplace(lower, static_cast<uint16_t>(out_.size()));
    size_t dot = 0;
    while (dot < rest.size() && rest[dot] != '.') dot += rest[dot] == '\\' ? 2 : 1;
    auto label = labels_of(rest.substr(0, dot));
    out_.push_back(static_cast<char>(label.empty() ? 0 : label[0].size()));
    if (!label.empty()) out_ += label[0];
    rest = dot < rest.size() ? rest.substr(dot + 1) : std::string_view();
  }
  out_.push_back('\0');
}

bool Writer::record(int section, const std::string& name, uint16_t type, uint16_t class_,
                    uint32_t ttl, std::string_view data, const std::string* data_name) {
  if (!to_wire(name) || (data_name && !to_wire(*data_name))) return false;
  const size_t before = out_.size();
  put_name(name, true);
  put16(type);
  put16(class_);
  put32(ttl);
  size_t length_at = out_.size();
  put16(0);
  out_ += data;
  // RFC 2782: an SRV target is not compressed.
  if (data_name) put_name(*data_name, type != kSrv);
  write16(out_, length_at, static_cast<uint16_t>(out_.size() - length_at - 2));
  size_t reserved = edns_ ? 11 : 0;
  if (out_.size() + reserved <= size_max_) {
    ++counts_[section];
    return true;
  }
  out_.resize(before);
  std::erase_if(offsets_, [&](const auto& entry) { return entry.second >= before; });
  return false;
}

bool Writer::a(int section, const std::string& name, uint32_t ttl, uint32_t address) {
  std::string data;
  for (int shift = 24; shift >= 0; shift -= 8) data.push_back(static_cast<char>(address >> shift));
  return record(section, name, kA, kClassIn, ttl, data, nullptr);
}
bool Writer::aaaa(int section, const std::string& name, uint32_t ttl, std::string_view bytes) {
  return record(section, name, kAaaa, kClassIn, ttl, bytes, nullptr);
}
bool Writer::name_record(int section, uint16_t type, const std::string& name, uint32_t ttl,
                         const std::string& target) {
  return record(section, name, type, kClassIn, ttl, "", &target);
}
bool Writer::srv(int section, const std::string& name, uint32_t ttl, uint16_t port,
                 const std::string& target) {
  std::string data = {0, 0, 0, 100};  // priority 0, weight 100
  data.push_back(static_cast<char>(port >> 8));
  data.push_back(static_cast<char>(port));
  return record(section, name, kSrv, kClassIn, ttl, data, &target);
}
bool Writer::txt(int section, const std::string& name, uint32_t ttl, std::string_view text) {
  std::string data(1, static_cast<char>(text.size()));
  data += text;
  return record(section, name, kTxt, kClassIn, ttl, data, nullptr);
}
bool Writer::soa(int section, const std::string& name, uint32_t ttl, const std::string& server,
                 const std::string& mailbox, uint32_t minimum) {
  auto first = to_wire(server), second = to_wire(mailbox);
  if (!first || !second) return false;
  std::string data = *first + *second;
  for (uint32_t value : {uint32_t{1}, uint32_t{7200}, uint32_t{1800}, uint32_t{86400}, minimum}) {
    for (int shift = 24; shift >= 0; shift -= 8) data.push_back(static_cast<char>(value >> shift));
  }
  return record(section, name, kSoa, kClassIn, ttl, data, nullptr);
}

bool Writer::copy(int section, std::string_view message, const Record& r) {
  if (r.data_offset + r.data_size > message.size()) return false;
  std::string_view data = message.substr(r.data_offset, r.data_size);
  size_t prefix = 0;  // bytes before the name inside
  switch (r.type) {
    case kCname:
    case kNs:
    case kPtr:
    case kDname:
      break;
    case kMx:
      prefix = 2;
      break;
    case kSrv:
      prefix = 6;
      break;
    case kSoa:
      return false;  // negative answers are not copied
    default:
      return record(section, r.name, r.type, r.class_, r.ttl, data, nullptr);
  }
  if (data.size() <= prefix) return false;
  size_t at = r.data_offset + prefix;
  auto target = read_name(message, at, false);
  if (!target) return false;
  return record(section, r.name, r.type, r.class_, r.ttl, data.substr(0, prefix), &*target);
}

void Writer::set_truncated() { out_[2] = static_cast<char>(out_[2] | 0x02); }
void Writer::set_rcode(uint8_t rcode) {
  out_[3] = static_cast<char>((static_cast<uint8_t>(out_[3]) & 0xf0) | rcode);
}

std::string Writer::finish() {
  if (edns_) {
    out_.push_back('\0');
    put16(kOpt);
    put16(static_cast<uint16_t>(kUdpBytesMax));
    // RFC 6891: of versions, we know 0 only; extended rcode 16 is BADVERS.
    put32((edns_->version != 0 ? 1u << 24 : 0) | (edns_->dnssec_ok ? 0x8000u : 0));
    put16(0);
    ++counts_[3];
  }
  for (int i = 0; i < 4; ++i) write16(out_, 4 + 2 * static_cast<size_t>(i), counts_[i]);
  return std::move(out_);
}

std::string bare_reply(const Query& query, uint8_t rcode, bool truncated) {
  Writer writer(65535);
  writer.start(query, rcode, false);
  if (truncated) writer.set_truncated();
  return writer.finish();
}

std::string bare_error(const Header& header, uint8_t rcode) {
  std::string out(kHeaderBytes, '\0');
  write16(out, 0, header.id);
  write16(out, 2,
          static_cast<uint16_t>(0x8080 | header.opcode << 11 |
                                (header.recursion_desired ? 0x0100 : 0) | rcode));
  return out;
}

size_t udp_size_max(const Query& query) {
  if (!query.edns) return 512;
  return std::clamp<size_t>(query.edns->udp_bytes, 512, kUdpBytesMax);
}

}  // namespace orch::net::dns
