// storage.k8s.io/v1 VolumeAttachment.
#include "api/kinds/checks.h"
#include "api/kinds/storage/csi.h"
#include "orch/api/storagev1.h"

namespace orch::api {
namespace {

using storagev1::VolumeAttachment;
using storagev1::VolumeAttachmentSource;
using storagev1::VolumeAttachmentSpec;
using storagev1::VolumeError;

constexpr size_t kMetadataBytesMax = 256 * 1024;
constexpr size_t kErrorBytesMax = 1024;

void prepare(Object& object, const Object* old_object, const StrategyContext&) {
  auto& now = static_cast<VolumeAttachment&>(object);
  now.status = old_object == nullptr ? storagev1::VolumeAttachmentStatus()
                                     : static_cast<const VolumeAttachment&>(*old_object).status;
}

void validate_source(const VolumeAttachmentSource& source, FieldErrors& errors) {
  constexpr const char* kExactlyOne =
      "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
  const std::string path = "spec.source";
  if (!source.persistentVolumeName && !source.inlineVolumeSpec) {
    errors.required(path, kExactlyOne);
  } else if (source.persistentVolumeName && source.inlineVolumeSpec) {
    errors.forbidden(path, kExactlyOne);
  }
  if (source.persistentVolumeName) {
    if (source.persistentVolumeName->empty()) {
      errors.required(path + ".persistentVolumeName",
                      "must specify non empty persistentVolumeName");
    } else {
      validate_by(check_dns1123_subdomain, *source.persistentVolumeName,
                  path + ".persistentVolumeName", errors);
    }
  }
  if (source.inlineVolumeSpec) {
    validate_volume_spec(*source.inlineVolumeSpec, true, path + ".inlineVolumeSpec", errors);
  }
}

void validate_error(const Ptr<VolumeError>& error, const std::string& path, FieldErrors& errors) {
  if (error && error->message.size() > kErrorBytesMax) {
    errors.too_long(path + ".message", static_cast<int64_t>(kErrorBytesMax));
  }
}

void validate_status(const storagev1::VolumeAttachmentStatus& status, FieldErrors& errors) {
  size_t bytes = 0;
  for (const auto& [key, value] : status.attachmentMetadata) {
    if (key.empty()) {
      errors.invalid("status.attachmentMetadata", "\"\"", "field can not be empty.");
    }
    bytes += key.size() + value.size();
  }
  if (bytes > kMetadataBytesMax) {
    errors.too_long("status.attachmentMetadata", static_cast<int64_t>(kMetadataBytesMax));
  }
  validate_error(status.attachError, "status.attachError", errors);
  validate_error(status.detachError, "status.detachError", errors);
}

void validate_attachment(const Object& object, const Object* old_object, FieldErrors& errors) {
  const auto& now = static_cast<const VolumeAttachment&>(object);
  if (old_object != nullptr) {
    const auto& old = static_cast<const VolumeAttachment&>(*old_object);
    check_unchanged(equal(now.spec, old.spec), "spec",
                    go_value(storagev1::VolumeAttachmentSpec::type_info(), &now.spec), errors);
    return;
  }
  validate_driver_name(now.spec.attacher, "spec.attacher", errors);
  validate_source(now.spec.source, errors);
  validate_by(check_dns1123_subdomain, now.spec.nodeName, "spec.nodeName", errors);
}

std::vector<Cell> row(const Object& object, WallTime now) {
  const auto& attachment = static_cast<const VolumeAttachment&>(object);
  return {name_cell(object),
          text(attachment.spec.attacher),
          text(attachment.spec.source.persistentVolumeName.value_or("")),
          text(attachment.spec.nodeName),
          boolean(attachment.status.attached),
          age_cell(object, now)};
}

}  // namespace

ResourceInfo volume_attachments_resource() {
  auto info = stored_resource<VolumeAttachment>("volumeattachments", "volumeattachment", false);
  info.has_status = true;
  info.prepare = prepare;
  info.prepare_status = [](Object& object, const Object& old) {
    static_cast<VolumeAttachment&>(object).spec = static_cast<const VolumeAttachment&>(old).spec;
  };
  info.validate = validate_attachment;
  info.validate_status = [](const Object& now, const Object&, FieldErrors& errors) {
    validate_status(static_cast<const VolumeAttachment&>(now).status, errors);
  };
  Column attacher = column("Attacher", "string", "The driver that attaches.");
  attacher.format = "name";
  info.columns = {name_column(),
                  attacher,
                  column("PV", "string", "The volume."),
                  column("Node", "string", "The node it is attached to."),
                  column("Attached", "boolean", "Whether it is attached."),
                  age_column()};
  info.row = row;
  return info;
}

}  // namespace orch::api
