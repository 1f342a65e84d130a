#!/bin/sh
# Make a virtual environment with packages of which the tests need just these versions; one that is up to date is left.
#
#     scripts/make-environment.sh DIRECTORY PYTHON REQUIREMENT...
set -eu
environment=$1
python=$2
shift 2
if [ "$(cat "$environment/.requirements" 2>/dev/null)" = "$*" ]; then
    exit
fi
echo "Making $environment ..."
"$python" -m venv --clear "$environment"
"$environment/bin/python" -m pip --disable-pip-version-check install --quiet "$@"
echo "$*" >"$environment/.requirements"
