"""Break the core on purpose, one place at a time, and see whether the tests notice.

Each mutant is one comparison, operator, number or word of logic changed in a copy of
the project. The tests that run through its lines, quickest first, run on it until one
fails. What survives is listed with its line: either a test is missing, or the change
makes no difference.

    python bench/mutation.py --sample 400       # a sample over all files
    python bench/mutation.py --only masses.py   # every mutant of one file

Half of a sample falls on the arithmetic (`HEART`), half on everything else.
"""

import argparse
import ast
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from coverage import CoverageData

ROOT = Path(__file__).parents[1]
HEART = (
    "alerting.py",
    "crossing.py",
    "curve.py",
    "decay.py",
    "masses.py",
    "memory.py",
    "quiet.py",
    "reading.py",
    "scorer.py",
)
FILES = tuple(sorted(path.name for path in (ROOT / "scorers").glob("*.py")))
CONFTEST = """
import json
from pathlib import Path

from hypothesis import HealthCheck, settings

settings.register_profile(
    "mutation",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=20,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("mutation")
DURATIONS = {}


def pytest_runtest_logreport(report):
    spent = DURATIONS.get(report.nodeid, 0.0)
    DURATIONS[report.nodeid] = spent + report.duration


def pytest_sessionfinish():
    if not Path("durations.json").exists():
        Path("durations.json").write_text(json.dumps(DURATIONS))
"""
QUICK = ["-q", "-x", "-p", "no:cacheprovider", "-W", "ignore"]
# Tests of size alone take as long as all others together.
DESELECTED = ["-k", "not five_thousand and not big_life"]
PATIENCE = 120
MEMORY = 4 << 30
"""A mutant that never ends, or eats all memory, has been noticed as well."""

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
}


class Mutant(NamedTuple):
    """One change: where, and the whole text with it."""

    file: str
    line: int
    last: int
    what: str
    text: str


def _spots(tree: ast.Module) -> Iterator[tuple[ast.AST, str, object, object]]:
    """Yield every place that can be changed: node, field, old and new value."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare():
                new = [COMPARISONS[type(op)]() for op in node.ops]
                yield node, "ops", node.ops, new
            case ast.BinOp() | ast.AugAssign() if type(node.op) in OPERATORS:
                yield node, "op", node.op, OPERATORS[type(node.op)]()
            case ast.BoolOp():
                other = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
                yield node, "op", node.op, other
            case ast.UnaryOp(op=ast.USub()):
                yield node, "op", node.op, ast.UAdd()
            case ast.Constant(value=bool(value)):
                yield node, "value", value, not value
            case ast.Constant(value=int(value) | float(value)):
                yield node, "value", value, value + 1
            case ast.Call(func=ast.Name(id="min" | "max" as name)):
                other_name = {"min": "max", "max": "min"}[name]
                yield node.func, "id", name, other_name
            case _:
                pass


def mutants_of(file: str) -> Iterator[Mutant]:
    """Yield every mutant of a file of the core."""
    source = (ROOT / "scorers" / file).read_text("utf-8")
    tree = ast.parse(source)
    for node, field, old, new in list(_spots(tree)):
        before = ast.unparse(node)
        setattr(node, field, new)
        what = f"{before}  →  {ast.unparse(node)}"
        line = getattr(node, "lineno", 0)
        last = getattr(node, "end_lineno", None) or line
        yield Mutant(file, line, last, what, ast.unparse(tree))
        setattr(node, field, old)


class Tests:
    """Which tests run through a line, and how long each takes."""

    def __init__(self, where: Path) -> None:
        """Run all tests in `where` once, and remember which lines each ran."""
        command = [sys.executable, "-m", "pytest", *QUICK, *DESELECTED]
        command += ["--cov=scorers", "--cov-context=test", "--cov-report="]
        done = subprocess.run(
            [*command, "tests/scorers"], cwd=where, check=False, capture_output=True
        )
        if done.returncode:
            sys.exit(f"they fail without any mutation:\n{done.stdout.decode()[-4000:]}")
        self.durations: dict[str, float] = json.loads(
            (where / "durations.json").read_text()
        )
        self.all = sorted(self.durations, key=self.durations.__getitem__)
        data = CoverageData(str(where / ".coverage"))
        data.read()
        self._by_line: dict[str, dict[int, list[str]]] = {
            Path(file).name: data.contexts_by_lineno(file)
            for file in data.measured_files()
        }

    def of(self, mutant: Mutant) -> list[str]:
        """Return the tests that run a mutant's lines, quickest first."""
        lines = self._by_line.get(mutant.file, {})
        found: set[str] = set()
        imported = False
        for line in range(mutant.line, mutant.last + 1):
            for context in lines.get(line, ()):
                imported = imported or not context
                found.add(context.rpartition("|")[0])
        if imported:
            return self.all
        return [test for test in self.all if test in found]


def _copied(to: Path) -> None:
    for package in ("schemas", "scorers", "deploy", "docs", "tests"):
        shutil.copytree(ROOT / package, to / package)
    (to / "tests" / "conftest.py").write_text(CONFTEST)
    shutil.copy(ROOT / "pyproject.toml", to)


def _run(where: Path, tests: list[str]) -> None:
    """Run tests in this process, which ends with it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.chdir(where)
    sys.path.insert(0, str(where))
    sys.dont_write_bytecode = True
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os._exit(pytest.main([*QUICK, *tests]))


def _noticed(where: Path, tests: list[str]) -> bool:
    """Say whether a test fails; a fork has all libraries imported already."""
    child = os.fork()
    if not child:
        _run(where, tests)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status != 0
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def _sample(given: argparse.Namespace) -> list[Mutant]:
    if given.only:
        return [mutant for file in given.only for mutant in mutants_of(file)]
    dice = random.Random(given.seed)  # noqa: S311 - a sample, no secret
    heart = [mutant for file in HEART for mutant in mutants_of(file)]
    rest = [m for file in FILES if file not in HEART for m in mutants_of(file)]
    print(f"{len(heart)} mutants of the arithmetic, {len(rest)} of the rest")
    if not given.sample:
        return heart + rest
    half = min(given.sample // 2, len(heart))
    return dice.sample(heart, half) + dice.sample(rest, given.sample - half)


def main() -> None:
    """Print the survivors and the score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=0, help="so many, at random")
    parser.add_argument("--only", choices=FILES, action="append", help="these files")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    mutants = sorted(_sample(given))
    survivors: list[Mutant] = []
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        _copied(copy)
        tests = Tests(copy)
        for number, mutant in enumerate(mutants, 1):
            path = copy / "scorers" / mutant.file
            original = path.read_text("utf-8")
            path.write_text(mutant.text, "utf-8")
            since = time.monotonic()
            running = tests.of(mutant)
            if not running or not _noticed(copy, running):
                survivors.append(mutant)
                where = f"{mutant.file}:{mutant.line}"
                print(f"survived: {where}: {mutant.what}", flush=True)
            path.write_text(original, "utf-8")
            took = time.monotonic() - since
            print(f"… {number} of {len(mutants)}, {took:.0f} s", flush=True)
    _tell(mutants, survivors)
    print(f"in {(time.monotonic() - begin) / 60:.0f} minutes")


def _tell(mutants: list[Mutant], survivors: list[Mutant]) -> None:
    lost = {mutant[:2] + mutant[3:] for mutant in survivors}
    for file in FILES:
        all_ = [m for m in mutants if m.file == file]
        kept = sum(m[:2] + m[3:] in lost for m in all_)
        if all_:
            print(f"{file:20} {len(all_) - kept} of {len(all_)}")
    killed = len(mutants) - len(survivors)
    print(f"{killed} of {len(mutants)} noticed: {killed / len(mutants):.1%}")


if __name__ == "__main__":
    main()
