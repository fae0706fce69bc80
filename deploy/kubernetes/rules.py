"""Writes Prometheus' rules as the operator wants them: one PrometheusRule.

`make docs` runs it, `make check` runs it with --check.
"""

import sys
from pathlib import Path
from typing import Final

import yaml

HERE: Final = Path(__file__).parent
RULES: Final = HERE.parent / "prometheus" / "rules"
OUT: Final = HERE / "components" / "monitoring" / "rules.yaml"

_HEAD: Final = """\
# Made of deploy/prometheus/rules by deploy/kubernetes/rules.py.
"""


def text() -> str:
    """Return the file's text."""
    groups = [
        group
        for path in sorted(RULES.glob("*.yml"))
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    ]
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "leadpulse"},
        "spec": {"groups": groups},
    }
    return _HEAD + yaml.safe_dump(document, sort_keys=False, width=88)


if __name__ == "__main__":
    if "--check" not in sys.argv:
        OUT.write_text(text(), encoding="utf-8")
    elif OUT.read_text(encoding="utf-8") != text():
        sys.exit(f"{OUT} is not made of the rules as they are: make docs")
