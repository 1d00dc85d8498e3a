#include "ctl/labelling.h"

namespace orch::ctl {

Verb annotate_verb() {
  return {
      "annotate", "Set and remove annotations",
      "annotate (TYPE NAME... | TYPE/NAME...) KEY=VALUE... KEY-", labelling_flags(),
      [](Session& s) { return change_metadata_map(s, "annotations", "annotation", "annotated"); }};
}

}  // namespace orch::ctl
