#!/bin/sh
# Try the wheel, and then the sdist, as a user would: in a fresh virtual environment, outside of the checkout.
#
#     scripts/test-wheel.sh PYTHON DIST
set -eu
python=$1
wheel=$(ls "$PWD/$2"/*.whl)
sdist=$(ls "$PWD/$2"/*.tar.gz)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m venv "$work/venv"
pip="$work/venv/bin/python -m pip --disable-pip-version-check --quiet"
$pip install 'pip>=25.1'
$pip install --group "$PWD/pyproject.toml:test" "$wheel"
cp -r tests/e2e/test_packaging.py tests/e2e/test_public_paths.py examples "$work"
cd "$work"

try() {
    echo "== $1"
    venv/bin/pytest -W error -p no:cacheprovider test_packaging.py test_public_paths.py
    venv/bin/smart info
    venv/bin/smart validate
    venv/bin/python examples/hello/hello.py
    venv/bin/smart watch --once hello
    venv/bin/smart report hello
    rm -rf hello hello*.html
}

try "$wheel"
$pip install --force-reinstall --no-deps "$sdist"
try "$sdist"
