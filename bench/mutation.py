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
import gc
import inspect
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
import types
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest
from _pytest.runner import runtestprotocol
from coverage import CoverageData

ROOT = Path(__file__).parents[1]
HEART = (
    "alerting.py",
    "crossing.py",
    "curve.py",
    "decay.py",
    "draft.py",
    "facts.py",
    "masses.py",
    "memory.py",
    "quiet.py",
    "reading.py",
    "scorer.py",
)
FILES = tuple(sorted(path.name for path in (ROOT / "scorers").glob("*.py")))
CONFTEST = """
import json
import os
from pathlib import Path

from hypothesis import HealthCheck, settings

settings.register_profile(
    "mutation",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=int(os.environ.get("MUTATION_EXAMPLES", "15")),
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
PATIENCE = 300
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
    """One change: where, which of the file's spots, and what it changes."""

    file: str
    line: int
    last: int
    spot: int
    what: str


def _running(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield what runs: bodies of functions and the module's constants.

    Declarations are left out, as of a model's parts: what they refuse is held to
    golden files, and half of their words (`frozen=True`) make no difference.
    """
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            yield from ast.walk(node.value)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for statement in node.body:
                if not isinstance(statement, ast.FunctionDef):
                    yield from ast.walk(statement)


def _spots(tree: ast.Module) -> Iterator[tuple[ast.AST, str, object, object]]:
    """Yield every place that can be changed: node, field, old and new value."""
    for node in dict.fromkeys(_running(tree)):
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
    tree = ast.parse((ROOT / "scorers" / file).read_text("utf-8"))
    for spot, (node, field, old, new) in enumerate(_spots(tree)):
        before = ast.unparse(node)
        setattr(node, field, new)
        what = f"{before}  →  {ast.unparse(node)}"
        setattr(node, field, old)
        line = getattr(node, "lineno", 0)
        yield Mutant(file, line, getattr(node, "end_lineno", line), spot, what)


def _broken(path: Path, mutant: Mutant) -> ast.Module:
    """Return the mutant's module; its lines are what they were."""
    tree = ast.parse(path.read_text("utf-8"))
    node, field, _, new = list(_spots(tree))[mutant.spot]
    setattr(node, field, new)
    return tree


class Tests:
    """Every test of the core, collected once; which lines each runs, and how long."""

    def __init__(self, items: list[pytest.Item], where: Path) -> None:
        """Take the collected tests, and what the first run said of them."""
        self.durations: dict[str, float] = json.loads(
            (where / "durations.json").read_text()
        )
        self._items = sorted(
            items, key=lambda item: self.durations.get(item.nodeid, 0.0)
        )
        data = CoverageData(str(where / ".coverage"))
        data.read()
        self._by_line: dict[str, dict[int, list[str]]] = {
            Path(file).name: data.contexts_by_lineno(file)
            for file in data.measured_files()
        }

    def of(self, mutant: Mutant) -> list[pytest.Item]:
        """Return the tests that run a mutant's lines, quickest first.

        Lines that run at import alone are everybody's who runs anything in the file.
        """
        lines = self._by_line.get(mutant.file, {})
        found: set[str] = set()
        for line in range(mutant.line, mutant.last + 1):
            found |= {context.rpartition("|")[0] for context in lines.get(line, ())}
        if "" in found:
            found = {
                context.rpartition("|")[0] for c in lines.values() for context in c
            }
        return [item for item in self._items if item.nodeid in found]


def _copied(to: Path) -> None:
    for package in ("schemas", "scorers", "deploy", "docs", "tests"):
        shutil.copytree(ROOT / package, to / package)
    (to / "tests" / "conftest.py").write_text(CONFTEST)
    shutil.copy(ROOT / "pyproject.toml", to)


def _functions(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield the code of all functions, those within functions and classes as well."""
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            if const.co_flags & inspect.CO_OPTIMIZED:
                yield const
            yield from _functions(const)


def _break(path: Path, mutant: Mutant) -> None:
    """Give every function of a module the mutant's code, or a constant its value."""
    source, tree = path.read_text("utf-8"), _broken(path, mutant)
    sound = _functions(compile(source, path, "exec"))
    pairs = zip(sound, _functions(compile(tree, path, "exec")), strict=True)
    changed = {before: after for before, after in pairs if before != after}
    gc.unfreeze()  # what is frozen is not listed
    for thing in gc.get_objects():
        if isinstance(thing, types.FunctionType):
            code = thing.__code__
            if code.co_filename == str(path) and code in changed:
                thing.__code__ = changed[code]
    if not changed:
        _change_constant(sys.modules[f"scorers.{path.stem}"], ast.parse(source), tree)


def _change_constant(
    module: types.ModuleType, sound: ast.Module, tree: ast.Module
) -> None:
    """Let all modules that know a constant know the mutant's."""
    broken = dict(vars(module))
    for whole, node in zip(sound.body, tree.body, strict=True):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            if ast.dump(whole) == ast.dump(node):
                continue
            exec(ast.unparse(node), broken)  # noqa: S102 - that is what this is for
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            name = ast.unparse(target)
            before = vars(module)[name]
            for other in list(sys.modules.values()):
                if getattr(other, "__dict__", {}).get(name) is before:
                    setattr(other, name, broken[name])


class Breaker:
    """A pytest plugin that lets the collected tests run on one mutant after another.

    Each mutant lives in a fork, where everything is imported and collected already.
    """

    def __init__(self, where: Path, mutants: list[Mutant], deadline: float) -> None:
        """Take the mutants of the core that was copied to `where`."""
        self.where, self.mutants, self.deadline = where, mutants, deadline
        self.met: list[Mutant] = []
        self.survivors: list[Mutant] = []
        self.tests: Tests

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run every mutant."""
        self.tests = Tests(session.items, self.where)
        gc.freeze()
        for number, mutant in enumerate(self.mutants, 1):
            since = time.monotonic()
            if since > self.deadline:
                break
            self.met.append(mutant)
            running = self.tests.of(mutant)
            if not running or not self._noticed(mutant, running):
                self.survivors.append(mutant)
                where = f"{mutant.file}:{mutant.line}"
                tell(f"survived {len(running)} tests: {where}: {mutant.what}")
            took = time.monotonic() - since
            tell(f"… {number} of {len(self.mutants)}, {mutant.file}, {took:.1f} s")
        return True

    def _noticed(self, mutant: Mutant, tests: list[pytest.Item]) -> bool:
        child = os.fork()
        if not child:
            self._run(self.where / "scorers" / mutant.file, mutant, tests)
        deadline = time.monotonic() + PATIENCE
        status = None
        while status is None and time.monotonic() < deadline:
            done, ended = os.waitpid(child, os.WNOHANG)
            status = ended if done else None
            time.sleep(0.01)
        if status is None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        return status != 0

    def _run(self, path: Path, mutant: Mutant, tests: list[pytest.Item]) -> NoReturn:
        """Run tests on a mutant in this process, which ends with it."""
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (PATIENCE, PATIENCE))
        _break(path, mutant)
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        for test, following in zip_longest(tests, tests[1:]):
            # A test that takes far longer than it did has noticed.
            usual = self.tests.durations.get(test.nodeid, 0.0)
            signal.setitimer(signal.ITIMER_PROF, 10 + 20 * usual)
            reports = runtestprotocol(test, nextitem=following, log=False)
            if any(report.failed for report in reports):
                os._exit(1)
        os._exit(0)


def tell(line: str) -> None:
    """Print past pytest's capture."""
    print(line, file=sys.__stdout__, flush=True)


def _first_run(where: Path) -> None:
    """Run all tests once, to know which lines each runs."""
    command = [sys.executable, "-m", "pytest", *QUICK, *DESELECTED]
    command += ["--cov=scorers", "--cov-context=test", "--cov-report="]
    # To know who runs through a line takes few examples.
    done = subprocess.run(
        [*command, "tests/scorers"],
        cwd=where,
        env={**os.environ, "MUTATION_EXAMPLES": "4"},
        check=False,
        capture_output=True,
    )
    if done.returncode:
        sys.exit(f"they fail without any mutation:\n{done.stdout.decode()[-4000:]}")


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
    mutants = dice.sample(heart, half) + dice.sample(rest, given.sample - half)
    dice.shuffle(mutants)  # what ran before time was up is a sample too
    return mutants


def main() -> None:
    """Print the survivors and the score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=0, help="so many, at random")
    parser.add_argument("--only", choices=FILES, action="append", help="these files")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=600, help="then stop")
    given = parser.parse_args()
    mutants = _sample(given)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder).resolve()
        _copied(copy)
        _first_run(copy)
        breaker = Breaker(copy, mutants, begin + given.minutes * 60)
        os.chdir(copy)
        sys.path.insert(0, str(copy))
        pytest.main([*QUICK, "-s", *DESELECTED, "tests/scorers"], plugins=[breaker])
        os.chdir(ROOT)
    _tell(breaker.met, breaker.survivors)
    print(f"in {(time.monotonic() - begin) / 60:.0f} minutes")


def _tell(mutants: list[Mutant], survivors: list[Mutant]) -> None:
    for file in FILES:
        number = sum(mutant.file == file for mutant in mutants)
        lost = sum(mutant.file == file for mutant in survivors)
        if number:
            print(f"{file:20} {number - lost} of {number}")
    killed = len(mutants) - len(survivors)
    print(f"{killed} of {len(mutants)} noticed: {killed / len(mutants):.1%}")


if __name__ == "__main__":
    main()
