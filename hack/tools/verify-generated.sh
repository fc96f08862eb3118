#!/usr/bin/env bash
# Fails if generating anew changes any generated file. The files are left as
# generated, so that the remedy is to commit them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

generated=(
  api/v1alpha1/zz_generated.deepcopy.go
  config/crd/bases
  config/rbac/role.yaml
  docs/api.md
  docs/metrics.md
  internal/protocol/pb
)

before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
for path in "${generated[@]}"; do
  mkdir -p "$before/$(dirname "$path")"
  if [[ -e $path ]]; then cp -r "$path" "$before/$path"; fi
done

make manifests generate

status=0
for path in "${generated[@]}"; do
  diff -ruN "$before/$path" "$path" || status=1
done
if ((status)); then
  echo "verify: the files above were out of date and have been generated anew: commit them" >&2
fi
exit "$status"
