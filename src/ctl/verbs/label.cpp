#include "ctl/labelling.h"

namespace orch::ctl {

Verb label_verb() {
  return {"label", "Set and remove labels", "label (TYPE NAME... | TYPE/NAME...) KEY=VALUE... KEY-",
          labelling_flags(),
          [](Session& s) { return change_metadata_map(s, "labels", "label", "labeled"); }};
}

}  // namespace orch::ctl
