#!/bin/bash
# The JavaScript client (npm: @kubernetes/client-node): list, informer, patches, exec, log.
source "$(dirname "$0")/lib.sh"
need_commands node
module=$("$here/../support/npm_package.sh" @kubernetes/client-node@1.4.0 2>&1) || skip "$module"
one_node
check_out "the program" '^[0-9]+ checks$' in_ns "$run_id-a" timeout 100 \
  node "$here/client_node.mjs" "$kubeconfig" "$module/dist/index.js" docker.io/library/orch-test:1
say "$(tail -n 1 "$work/last")"
