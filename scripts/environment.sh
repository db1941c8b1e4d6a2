# shellcheck shell=bash
# Sourced by the scripts beside it: gives `python`, that of an environment with everything installed.
# PYTHON names another interpreter to make .venv with; Python 3.11 to 3.13 will do.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="$root/.venv/bin/python"

find_interpreter() {
    local name
    for name in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "no Python 3.11 to 3.13 found; name one: PYTHON=/path/to/python3 $0" >&2
    return 1
}

# The environment keeps a copy of what it was installed from: comparing is all that a later start does.
is_installed() {
    cmp -s "$root/requirements.lock" "$root/.venv/installed.lock" &&
        cmp -s "$root/pyproject.toml" "$root/.venv/installed.toml"
}

install() {
    local interpreter
    echo "setting up .venv, once; this takes a minute or more" >&2
    if [ ! -x "$python" ]; then
        interpreter="$(find_interpreter)"
        "$interpreter" -m venv "$root/.venv"
    fi
    "$python" -m pip install -qq --disable-pip-version-check -r "$root/requirements.lock"
    "$python" -m pip install -qq --disable-pip-version-check \
        --no-deps --no-build-isolation --editable "$root"
    cp "$root/requirements.lock" "$root/.venv/installed.lock"
    cp "$root/pyproject.toml" "$root/.venv/installed.toml"
}

is_installed || install
