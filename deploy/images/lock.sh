#!/bin/sh
# Pin, with hashes, every package that each image installs: locks/TARGET.txt.
#
#   deploy/images/lock.sh [--upgrade | --upgrade-package NAME]
#
# Run it when the dependencies in pyproject.toml change: versions that still fit stay as they are. With
# --upgrade it takes the newest of all packages, or of one. Needs uv (on PyPI). Resolved for the images' Python on Linux, x86-64; the hashes are of all files of a
# version, those for arm64 too.
set -eu
cd "$(dirname "$0")/../.."
upgrade=$*

lock() { # TARGET FILE [--extra EXTRA ...]
  target=$1 file=$2
  shift 2
  # shellcheck disable=SC2086 # words: none, one or two flags
  uv pip compile $upgrade "$file" "$@" --output-file "deploy/images/locks/$target.txt" --quiet \
    --generate-hashes --no-annotate --no-header --python-version 3.11 --python-platform linux
}

lock producer pyproject.toml --extra producer --extra otel
lock worker-cpu pyproject.toml --extra worker-cpu --extra otel
lock worker-gpu pyproject.toml --extra worker --extra gpu --extra otel
lock consumer pyproject.toml --extra osc
lock view pyproject.toml --extra view
lock trainer pyproject.toml --extra train
lock convert pyproject.toml --extra worker --extra openvino # for worker-cpu: converts its networks
lock build deploy/images/build.in
