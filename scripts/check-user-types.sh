#!/bin/sh
# Check the types that users see: a file of user code against the installed package, by a checker that is not ours.
#
#     scripts/check-user-types.sh BIN
set -eu
bin=$(cd "$1" && pwd)
# In a directory of its own: beside `src` the checker would take the sources for the package.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp tests/typing/user_code.py "$work"
cat >"$work/pyrightconfig.json" <<CONFIG
{ "include": ["user_code.py"], "typeCheckingMode": "strict" }
CONFIG
cd "$work"
"$bin/pyright" --warnings --pythonpath "$bin/python"
