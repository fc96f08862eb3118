#!/usr/bin/env bash
# Fuzzes every fuzz target of the module, one after the other, each for the given time
# (as go test -fuzztime takes it). Fails in the end if there was a finding; go test has
# then written it to testdata/fuzz, where it is a test from then on.
#
#   fuzz.sh <time>
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
time=$1

targets=()
while read -r dir; do
  found=$(go test -list '^Fuzz' "$dir") # fails if the tests cannot be built
  for target in $(grep '^Fuzz' <<<"$found"); do targets+=("$dir $target"); done
done < <(grep -rl --include='*_test.go' '^func Fuzz' . | xargs dirname | sort -u)

failed=()
for i in "${!targets[@]}"; do
  read -r dir target <<<"${targets[i]}"
  echo "fuzz: $((i + 1)) of ${#targets[@]}: $target in $dir for $time"
  # Unbounded, the time would go into making inputs smaller whose path is another each time.
  go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 100x "$dir" || failed+=("$target in $dir")
done
if ((${#failed[@]})); then
  printf 'fuzz: FAILED: %s\n' "${failed[@]}" >&2
  exit 1
fi
echo "fuzz: ${#targets[@]} targets, each for $time, no finding"
