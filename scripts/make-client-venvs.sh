#!/bin/sh
# Make the virtual environments of the clients that others wrote, with which tests/old_clients drives the server: each
# needs versions of its dependencies that the project itself does not. What is up to date is left as it is.
#
#     scripts/make-client-venvs.sh DIRECTORY [PYTHON]
#
# PYTHON must be a 3.11, the last one for which there is a wheel of smartredis.
set -eu
directory=$1
shift

is_3_11() {
    "$1" -c 'import ensurepip, sys, venv; raise SystemExit(sys.version_info[:2] != (3, 11))' 2>/dev/null
}

find_python() {
    for candidate in "${@:-python3.11}" python3 "$(pyenv root 2>/dev/null || echo "$HOME/.pyenv")"/versions/3.11.*/bin/python; do
        if is_3_11 "$candidate"; then
            echo "$candidate"
            return
        fi
        if [ $# -gt 0 ]; then
            echo "$candidate is not a Python 3.11 that can make virtual environments" >&2
            return 1
        fi
    done
    echo "The tests with old clients need Python 3.11 with venv, and there is none in the search path or in pyenv." >&2
    echo "Install it (on Debian 12: apt-get install python3-venv; else: pyenv install 3.11), or name it:" >&2
    echo "make clients PYTHON311=/path/to/python3.11" >&2
    return 1
}

python=$(find_python "$@")
here=$(dirname "$0")
"$here/make-environment.sh" "$directory/smartredis" "$python" 'smartredis==0.6.1' 'numpy<2'
"$here/make-environment.sh" "$directory/redisai" "$python" 'redisai==1.3.0' 'redis<5' 'setuptools<80' 'numpy<2'
