#!/bin/sh
# Make a virtual environment with a Python that is new enough.
#
#     scripts/make-venv.sh DIRECTORY [PYTHON]
set -eu
directory=$1
shift

new_enough() {
    "$1" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null
}

python=
for candidate in "${@:-python3}" python3.14 python3.13 python3.12 python3.11; do
    if new_enough "$candidate"; then
        python=$candidate
        break
    fi
    if [ $# -gt 0 ]; then
        echo "PYTHON=$candidate is not a Python 3.11 or later" >&2
        exit 1
    fi
done
if [ -z "$python" ]; then
    echo "Python 3.11 or later is needed, and not in the search path. Install one, or name it: make PYTHON=/path/to/python3.11" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "$python cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 1
fi
if [ -z "${CC:-}" ] && ! command -v cc >/dev/null; then
    echo "A C compiler is needed for the server module. On Debian and Ubuntu: apt-get install gcc libc6-dev" >&2
    exit 1
fi
echo "Making $directory with $("$python" --version) ..."
"$python" -m venv "$directory"
