// The bundled command line, `orch ctl` (also under the names ctl and kubectl).
#pragma once

namespace orch::ctl {

// argv[0] is the name it was called by, argv[1...] its arguments. Returns the exit code, kubectl's.
int ctl_main(int argc, char** argv);

}  // namespace orch::ctl
