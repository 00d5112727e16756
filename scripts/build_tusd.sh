#!/bin/sh
# Builds tusd, the reference server of the tus protocol, into .build/bin/tusd: the peer of `make bench-tusd`; a minute, once.
set -eu
cd "$(dirname "$0")/.."
. scripts/build_go_tool.sh

build_go_tool tusd github.com/tus/tusd/v2/cmd/tusd v2.9.1 24 "about a minute"
