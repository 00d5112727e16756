#!/bin/sh
# For maintainers: resolves requirements/*.in into hashed lists that hold on every platform and Python 3.11+.

cd "$(dirname "$0")/../requirements" || exit 1
if ! command -v uv >/dev/null 2>&1; then
    echo "make lock needs uv on PATH (pip install uv); everything else in this project does without it." >&2
    exit 1
fi
for name in run test node go; do
    uv pip compile --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-header --quiet \
        "$name.in" -o "$name.txt" || exit 1
    echo "requirements/$name.txt is written"
done
