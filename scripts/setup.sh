#!/bin/sh
# Finds a Python that is new enough and hands over to scripts/setup.py; a Python may be named by $PYTHON.
# `python3` comes first; a candidate counts only if it runs, because a version manager's shim may stand for nothing.

cd "$(dirname "$0")/.." || exit 1

is_new_enough() {
    "$1" -c 'import sys; sys.exit(not sys.version_info >= (3, 11))' >/dev/null 2>&1
}

if [ -n "${PYTHON:-}" ]; then
    if ! is_new_enough "$PYTHON"; then
        echo "PYTHON=$PYTHON is not a Python 3.11 or newer that runs: $("$PYTHON" --version 2>&1 | head -n 1)" >&2
        exit 1
    fi
    exec "$PYTHON" -m scripts.setup "$@"
fi

seen=""
for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
    if command -v "$candidate" >/dev/null 2>&1; then
        if is_new_enough "$candidate"; then
            exec "$candidate" -m scripts.setup "$@"
        fi
        seen="$seen $candidate ($("$candidate" --version 2>&1 | head -n 1))"
    fi
done

echo "Holdfast needs Python 3.11 or newer; found:${seen:- none at all}." >&2
echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python@3.13)" >&2
echo "or name one: make PYTHON=/path/to/python3.13 ..." >&2
exit 1
