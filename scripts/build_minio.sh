#!/bin/sh
# Builds the MinIO server, which is published as source only, into .build/bin/minio; about two minutes, once.
set -eu
cd "$(dirname "$0")/.."
. scripts/build_go_tool.sh

build_go_tool minio github.com/minio/minio v0.0.0-20260212201848-7aac2a2c5b7c 24 "about two minutes"
.build/bin/minio --version | head -n 1
