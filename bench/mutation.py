"""Break the core on purpose, one place at a time, and see whether the tests notice.

Each mutant is one comparison, operator, number or word of logic changed in a copy of
the project; the tests of the core run on it until one fails. What survives is listed
with its line: either a test is missing, or the change makes no difference.

    python bench/mutation.py --sample 200       # a sample over all files, some minutes
    python bench/mutation.py --only masses.py   # every mutant of one file, longer
"""

import argparse
import ast
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FILES = (
    "alerting.py",
    "decay.py",
    "masses.py",
    "curve.py",
    "crossing.py",
    "reading.py",
    "memory.py",
    "scorer.py",
)
TESTS = (
    "alerting",
    "decay",
    "masses",
    "crossing",
    "scorer",
    "conditions",
    "compiled",
    "memory",
    "replay",
    "model_change",
    "laws",
    "oracle",
)
CONFTEST = """
from hypothesis import HealthCheck, settings

settings.register_profile(
    "mutation",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=30,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("mutation")
"""
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
        yield Mutant(file, getattr(node, "lineno", 0), what, ast.unparse(tree))
        setattr(node, field, old)


def _copied(to: Path) -> None:
    for package in ("schemas", "scorers", "deploy/models", "tests/scorers"):
        shutil.copytree(ROOT / package, to / package)
    for test in ("oracle.py", "random_models.py", "strategies.py"):
        shutil.copy(ROOT / "tests" / test, to / "tests" / test)
    (to / "tests" / "conftest.py").write_text(CONFTEST)
    shutil.copy(ROOT / "pyproject.toml", to)


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _noticed(where: Path) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    command += [f"tests/scorers/test_{name}.py" for name in TESTS]
    # Two tests of size alone take as long as all others together.
    command += ["-k", "not five_thousand and not big_life"]
    try:
        done = subprocess.run(
            command,
            cwd=where,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
            preexec_fn=_bounded,
        )
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def main() -> None:
    """Print the survivors and the score; exit 1 when the tests fail unmutated."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=0, help="so many, at random")
    parser.add_argument("--only", choices=FILES, action="append", help="these files")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    mutants = [m for file in given.only or FILES for m in mutants_of(file)]
    if given.sample:
        dice = random.Random(given.seed)  # noqa: S311 - a sample, no secret
        mutants = dice.sample(mutants, min(given.sample, len(mutants)))
    survivors = []
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        _copied(copy)
        if _noticed(copy):
            sys.exit("the tests fail without any mutation")
        for number, mutant in enumerate(sorted(mutants), 1):
            path = copy / "scorers" / mutant.file
            original = path.read_text("utf-8")
            path.write_text(mutant.text, "utf-8")
            since = time.monotonic()
            if not _noticed(copy):
                survivors.append(mutant)
                print(
                    f"survived: {mutant.file}:{mutant.line}: {mutant.what}", flush=True
                )
            path.write_text(original, "utf-8")
            took = time.monotonic() - since
            print(f"… {number} of {len(mutants)}, {took:.0f} s", flush=True)
    killed = len(mutants) - len(survivors)
    minutes = (time.monotonic() - begin) / 60
    print(f"{killed} of {len(mutants)} noticed: {killed / len(mutants):.1%}")
    print(f"in {minutes:.0f} minutes")


if __name__ == "__main__":
    main()
