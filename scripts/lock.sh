#!/bin/sh
# Remake constraints.txt: an exact version for every dependency of every extra, one file for all Pythons and platforms.
#
# What is pinned stays, unless --upgrade is given. NVIDIA's packages are left out: the CUDA build of torch names their
# versions itself, and no other build needs them.
set -eu
cd "$(dirname "$0")/.."
new=$(mktemp)
trap 'rm -f "$new"' EXIT

cp constraints.txt "$new"
.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-annotate --no-header \
  "$@" --output-file "$new" pyproject.toml >/dev/null
{
  echo '# Made by "make lock" from pyproject.toml; do not edit.'
  grep -v -E '^(#|nvidia-|cuda-|triton)' "$new"
} > constraints.txt
