// Damaged and unusual protobuf; what the golden vectors do not have.
#include <catch2/catch.hpp>

#include "orch/api/apiextensionsv1.h"
#include "orch/api/codec.h"
#include "orch/api/coordinationv1.h"
#include "orch/api/corev1.h"

using namespace orch;
using namespace orch::api;

namespace {

template <class T>
Result<T, DecodeError> from_protobuf(std::string_view bytes) {
  T value;
  ORCH_CHECK(decode_protobuf(bytes, T::type_info(), &value));
  return value;
}

template <class T>
std::string to_protobuf(const T& value) {
  std::string out;
  encode_protobuf(T::type_info(), &value, out);
  return out;
}

corev1::Pod sample() {
  auto pod = from_json<corev1::Pod>(
      R"({"metadata":{"name":"web","labels":{"b":"2","a":"1"},"creationTimestamp":"2024-01-02T03:04:05Z"},)"
      R"("spec":{"containers":[{"name":"c","image":"i","resources":{"limits":{"cpu":"1500m"}},)"
      R"("livenessProbe":{"httpGet":{"port":"http"},"periodSeconds":5}}],)"
      R"("securityContext":{"supplementalGroups":[1,2,3]},"volumes":[{"name":"v","emptyDir":{}}]}})");
  REQUIRE(pod);
  return *pod;
}

}  // namespace

TEST_CASE("every truncation is an error or a shorter object, never worse", "[api][codec]") {
  const std::string whole = to_protobuf(sample());
  REQUIRE(from_protobuf<corev1::Pod>(whole));
  CHECK(equal(*from_protobuf<corev1::Pod>(whole), sample()));
  int errors = 0;
  for (size_t length = 0; length < whole.size(); length++)
    errors += !from_protobuf<corev1::Pod>(whole.substr(0, length));
  CHECK(errors > 100);
  CHECK(from_protobuf<corev1::Pod>(whole.substr(0, whole.size() - 1)).error().message ==
        "unexpected EOF");
}

TEST_CASE("every flipped byte is survived", "[api][codec]") {
  const std::string whole = to_protobuf(sample());
  for (size_t at = 0; at < whole.size(); at++) {
    for (int bit = 0; bit < 8; bit++) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      if (auto pod = from_protobuf<corev1::Pod>(damaged)) (void)to_json(*pod);
    }
  }
  SUCCEED();
}

TEST_CASE("damage has gogo's words", "[api][codec]") {
  CHECK(
      from_protobuf<corev1::Pod>("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").error().message ==
      "proto: integer overflow");
  CHECK(from_protobuf<corev1::Pod>(std::string("\x00", 1)).error().message == "proto: illegal tag");
  CHECK(from_protobuf<corev1::Pod>("\x08\x01").error().message ==
        "proto: wrong wireType = 0 for field metadata");
  CHECK(from_protobuf<corev1::Pod>("\x0b").error().message ==
        "proto: wrong wireType = 3 for field metadata");
}

TEST_CASE("unknown fields are passed over, packed numbers are read", "[api][codec]") {
  corev1::PodSecurityContext context;
  context.supplementalGroups = {1, 300};
  std::string bytes = to_protobuf(context);
  append_protobuf_field(bytes, 500, "anything");
  REQUIRE(from_protobuf<corev1::PodSecurityContext>(bytes));
  CHECK(equal(*from_protobuf<corev1::PodSecurityContext>(bytes), context));
  std::string packed;
  const FieldInfo* field = context.type_info().find("supplementalGroups");
  REQUIRE(field);
  append_protobuf_field(packed, field->proto_number, "\x01\xac\x02");
  CHECK(equal(*from_protobuf<corev1::PodSecurityContext>(packed), context));
}

TEST_CASE("zero times, micro times and doubles", "[api][codec]") {
  coordinationv1::Lease lease;
  lease.spec.renewTime = *MicroTime::parse("2024-01-02T03:04:05.678901Z");
  const auto read = from_protobuf<coordinationv1::Lease>(to_protobuf(lease));
  REQUIRE(read);
  CHECK(read->spec.renewTime == lease.spec.renewTime);
  CHECK_FALSE(read->metadata.creationTimestamp.is_set);
  apiextensionsv1::JSONSchemaProps schema;
  schema.maximum = -1.25e-3;
  schema.default_ = RawJson{"{\"a\":1}"};
  schema.properties["p"].type = "string";
  const auto again = from_protobuf<apiextensionsv1::JSONSchemaProps>(to_protobuf(schema));
  REQUIRE(again);
  CHECK(equal(*again, schema));
}

TEST_CASE("the envelope is told from everything else", "[api][codec]") {
  const std::string wrapped = wrap_protobuf("apps/v1", "Deployment", "raw");
  const auto unwrapped = unwrap_protobuf(wrapped);
  REQUIRE(unwrapped);
  CHECK(unwrapped->api_version == "apps/v1");
  CHECK(unwrapped->kind == "Deployment");
  CHECK(unwrapped->raw == "raw");
  CHECK(unwrap_protobuf("{}").error().message ==
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
  for (size_t length = 4; length < wrapped.size(); length++)
    (void)unwrap_protobuf(wrapped.substr(0, length));
  CHECK_FALSE(unwrap_protobuf(wrapped.substr(0, 8)));
}

TEST_CASE("deeply nested protobuf is refused", "[api][codec]") {
  std::string bytes;
  const int32_t number = apiextensionsv1::JSONSchemaProps::type_info().find("not")->proto_number;
  for (int i = 0; i < 3000; i++) {
    std::string outer;
    append_protobuf_field(outer, number, bytes);
    bytes = std::move(outer);
  }
  CHECK(from_protobuf<apiextensionsv1::JSONSchemaProps>(bytes).error().message ==
        "exceeded max depth");
}

TEST_CASE("JSON and protobuf convert into each other", "[api][codec]") {
  const auto& type = corev1::Pod::type_info();
  const auto bytes = json_to_protobuf(to_json(sample()), type);
  REQUIRE(bytes);
  CHECK(*bytes == to_protobuf(sample()));
  CHECK(*protobuf_to_json(*bytes, type) == to_json(sample()));
  CHECK_FALSE(json_to_protobuf("{\"spec\":1}", type));
}
