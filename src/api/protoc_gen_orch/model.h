// What protoc-gen-orch knows about the IDL: C++ names, types and order. Reads descriptors and the
// options of src/api/idl/options.proto; writes nothing.
#pragma once

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

#include "options.pb.h"

namespace orch::gen {

namespace pb = google::protobuf;

const idl::FileOptions& file_options(const pb::FileDescriptor* file);
const idl::MessageOptions& message_options(const pb::Descriptor* message);
const idl::FieldOptions& field_options(const pb::FieldDescriptor* field);

// True for kinds with ObjectMeta outside meta/v1: they derive from api::Object.
bool is_object(const pb::Descriptor* message);
// The member's name: wire spelling; a trailing underscore for C++ keywords and for names that
// api::Object takes.
std::string member_name(const pb::FieldDescriptor* field);
// FieldType, as the enumerator's name ("kString"). Of the element for lists, of the value for maps.
std::string field_type(const pb::FieldDescriptor* field);
// The element's C++ type ("std::string", "Quantity", "metav1::ObjectMeta").
std::string element_type(const pb::FieldDescriptor* field);
// "kSingle", "kOptional", "kList", "kMap".
std::string shape(const pb::FieldDescriptor* field);
// The member's whole type.
std::string member_type(const pb::FieldDescriptor* field);
// The struct that a message field holds (its element, its map value); nullptr for other types.
const pb::Descriptor* struct_of(const pb::FieldDescriptor* field);
// The inlined struct, from which the C++ struct derives; nullptr if none.
const pb::Descriptor* inlined_base(const pb::Descriptor* message);
// Leading comment as one text: lines joined, paragraphs apart by a newline.
template <class Descriptor>
std::string description(const Descriptor* descriptor);
// Messages of the file so that each stands after those it holds by value.
std::vector<const pb::Descriptor*> by_dependency(const pb::FileDescriptor* file);
// A C++ string literal.
std::string quoted(const std::string& text);

}  // namespace orch::gen
