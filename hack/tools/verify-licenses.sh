#!/usr/bin/env bash
# Fails unless every package that is linked into the given programs is under one of
# the licenses below: those that ask for no more than notices, as the CNCF allows them.
# MPL-2.0 would need a decision (its files must be offered as source) and nothing uses
# it. What only builds or tests the project (hack/tools, hack/kube, test libraries) is
# not shipped, and not looked at.
#
#   verify-licenses.sh <package>...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

allowed=Apache-2.0,BSD-2-Clause,BSD-3-Clause,ISC,MIT
export GOOS=linux # what the images hold

# complaints prints what is not under the given licenses. The warnings that it leaves
# out say that assembly is not searched for imports, which it cannot have.
complaints() {
  local licenses=$1 output status=0
  shift
  output=$(bin/tools/go-licenses check --allowed_licenses="$licenses" "$@" 2>&1) || status=$?
  sed -E '/^W[0-9]{4} .*contains non-Go code|^\/.*\.s$/d' <<<"$output"
  return "$status"
}

# A check that finds no packages finds no forbidden license either.
if ! grep -q "^Not allowed license 'MIT' found for library 'go.etcd.io/bbolt'" \
  <<<"$(complaints "${allowed/,MIT/}" ./edge-agent)"; then
  echo "verify: the license check does not see that go.etcd.io/bbolt is under the MIT license: it is broken" >&2
  exit 1
fi

if ! complaints "$allowed" "$@" >&2; then
  echo "verify: the above is linked into a program and not under one of $allowed" >&2
  exit 1
fi
