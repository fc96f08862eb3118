#!/usr/bin/env bash
# Looks for known vulnerabilities in the code that the given programs really call.
# The database is https://vuln.go.dev, or the mirror that GOVULNDB names.
#
# Exit status: 0 if it knows none, 1 if it knows some, 2 if that could not be checked.
#
#   govulncheck.sh <package>...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

database=${GOVULNDB:-https://vuln.go.dev}
export GOOS=linux # what the images hold

status=0
bin/tools/govulncheck -db "$database" "$@" || status=$?
case $status in
0) ;;
3)
  echo "govulncheck: FAILED: the vulnerabilities above are reachable" >&2
  exit 1
  ;;
*)
  echo "govulncheck: NOT CHECKED: the error above kept it from an answer. It needs the database $database;" >&2
  echo "govulncheck: GOVULNDB=<url> names a mirror of it. Nothing is known of vulnerabilities." >&2
  exit 2
  ;;
esac
