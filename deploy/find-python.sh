#!/bin/sh
# Print a Python that Leadpulse runs on: the one given, or the first one found.
set -eu

[ -n "${1:-}" ] || set -- python3 python3.13 python3.12 python3.11

for candidate; do
    if "$candidate" -c '
import sys, venv
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
        printf '%s\n' "$candidate"
        exit 0
    fi
done

echo "Leadpulse needs Python 3.11, 3.12 or 3.13 with its venv module; tried: $*." >&2
echo "Name one: make setup PYTHON=/path/to/python3.12" >&2
exit 1
