#!/usr/bin/env bash
# Builds etcd, the Kubernetes control plane, the kubelet and kubectl from source
# into one binary, <outdir>/kube, with a symlink for each program.
# Does nothing when <outdir> is up to date. Safe to run concurrently.
set -euo pipefail

if [[ $# != 1 ]]; then
  echo "usage: $0 <outdir>" >&2
  exit 2
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")"

programs=(etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kubectl)
export GOWORK=off GOFLAGS=-mod=readonly CGO_ENABLED=0

say() { echo "kube: $* (${SECONDS}s)" >&2; }

# Everything that decides what the binary is.
fingerprint() {
  { go env GOVERSION GOOS GOARCH; cat build.sh go.mod go.sum ./*.go; } | sha256sum
}

up_to_date() {
  [[ -x $out/kube && $(cat "$out/.stamp" 2>/dev/null) == "$(fingerprint)" ]] || return 1
  local program
  for program in "${programs[@]}"; do [[ -e $out/$program ]] || return 1; done
}

# Turns the output of the go command into a line of progress every 15 s that counts
# downloads or compiled packages. Any other output is an error message: it is shown.
progress() {
  local count=0 next=$((SECONDS + 15)) line status
  while true; do
    if IFS= read -r -t 3 line; then
      case $line in
        "go: downloading "* | "${line%%[[:space:]]*}") count=$((count + 1)) ;;
        *) echo "$line" >&2 ;;
      esac
    else
      status=$?
      ((status > 128)) || break # above 128: no line in time; otherwise: end of input
    fi
    if ((SECONDS >= next)); then
      say "$count $*"
      next=$((SECONDS + 15))
    fi
  done
}

ldflags() {
  local version package flags="-s -w"
  version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
  IFS=. read -r major minor _ <<<"${version#v}"
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor"
  done
  echo "$flags"
}

exec 9>"$out/.lock"
if ! flock --nonblock 9; then
  say "waiting for another build into $out"
  flock 9
fi
if up_to_date; then exit 0; fi

tmp=$(mktemp -d "$out/.build.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

say "building $(go list -m k8s.io/kubernetes) and $(go list -m go.etcd.io/etcd/server/v3); about six minutes on two cores the first time"
{ go list -deps . >"$tmp/packages"; } 2>&1 | progress modules downloaded
go build -v -trimpath -ldflags "$(ldflags)" -o "$tmp/kube" . 2>&1 | progress "of at most $(wc -l <"$tmp/packages") packages compiled"

rm -f "$out/.stamp"
mv "$tmp/kube" "$out/kube"
for program in "${programs[@]}"; do
  ln -s kube "$tmp/$program"
  mv -T "$tmp/$program" "$out/$program"
done
fingerprint >"$out/.stamp"
say "built $out/kube, $(du -h "$out/kube" | cut -f1)"
