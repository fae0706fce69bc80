"""The laws of the house, held by tests: imports, purity, docs that are current."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parent.parent
PURE = ("schemas", "scorers")
PACKAGES = (*PURE, "streams")

IMPURE_CALLS = {
    "date.today",
    "datetime.now",
    "datetime.today",
    "datetime.utcnow",
    "input",
    "open",
    "os.environ.get",
    "os.getenv",
    "print",
}
IMPURE_MODULES = {"time", "random", "secrets", "uuid", "subprocess", "socket"}
VAGUE_NAMES = {"utils", "util", "helpers", "common", "manager", "service", "misc"}


def sources(*packages: str) -> list[Path]:
    return [path for name in packages for path in sorted((ROOT / name).rglob("*.py"))]


def dotted(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            return f"{dotted(value)}.{attr}"
    return ""


def impurities(code: str) -> Iterator[str]:
    """Yield everything in `code` that reads a clock, chance or the world."""
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Import(names=names):
                yield from (a.name for a in names if a.name in IMPURE_MODULES)
            case ast.ImportFrom(module=str(module)) if module in IMPURE_MODULES:
                yield module
            case ast.Call(func=func):
                name = dotted(func)
                ending = ".".join(name.split(".")[-2:])
                if not IMPURE_CALLS.isdisjoint((name, ending)):
                    yield name


def test_imports_go_one_way(capsys: pytest.CaptureFixture[str]) -> None:
    """Every import contract of pyproject.toml is kept."""
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)

    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


@pytest.mark.parametrize(
    "path", sources(*PURE), ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_the_core_reads_no_clock_and_no_chance(path: Path) -> None:
    """The same input gives the same score tomorrow and on another machine."""
    assert list(impurities(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "code",
    [
        "import time",
        "import time as t",
        "from random import random",
        "from datetime import datetime\ndatetime.now()",
        "import datetime as dt\ndt.datetime.utcnow()",
        "open('model.yaml')",
        "import os\nos.getenv('HOME')",
    ],
)
def test_an_impurity_is_noticed(code: str) -> None:
    """The test above can fail."""
    assert list(impurities(code))


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_are_named_for_what_they_hold(package: str) -> None:
    """No module is a drawer for what found no name."""
    names = {path.stem for path in sources(package)}
    folders = {path.parent.name for path in sources(package)}

    assert not (names | folders) & VAGUE_NAMES


@pytest.mark.parametrize("package", PACKAGES)
def test_types_are_published(package: str) -> None:
    """A type checker may rely on the annotations of every package."""
    assert (ROOT / package / "py.typed").is_file()


def test_every_test_says_what_it_proves() -> None:
    """Each test has one sentence of behaviour, and it is never "Test that …"."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sources("tests")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not _is_sentence(ast.get_docstring(node))
    ]

    assert silent == []


def _is_sentence(docstring: str | None) -> bool:
    return docstring is not None and not re.match(r"(?i)tests?\b", docstring)


def test_every_exemption_has_its_reason() -> None:
    """No lint rule is ignored and no warning let through without saying why."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    ignored = re.findall(r'^    "([A-Z]+[0-9]*)",(.*)$', text, flags=re.MULTILINE)

    assert ignored
    assert [rule for rule, rest in ignored if not re.match(r"\s+# \S", rest)] == []


def test_locked_versions_are_hashed_and_name_no_host() -> None:
    """Two clones install the same files, from whichever index they trust."""
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text(encoding="utf-8")
        pins = re.findall(r"^([a-z0-9-]+)==\S+.* \\$", text, flags=re.MULTILINE)

        assert pins, path
        assert "://" not in text
        assert text.count("--hash=sha256:") >= len(pins)


def test_the_lock_holds_every_dependency() -> None:
    """A dependency added to pyproject.toml is also locked (`make lock`)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lock = {
        name: set(
            re.findall(
                r"^([a-z0-9-]+)==", path.read_text(encoding="utf-8"), re.MULTILINE
            )
        )
        for name in ("runtime", "dev", "native")
        for path in [ROOT / "requirements" / f"{name}.txt"]
    }

    runtime = {_name(spec) for spec in project["project"]["dependencies"]}
    optional = project["project"]["optional-dependencies"]
    extras = [*optional["embedded"], *optional["learn"]]
    groups = project["dependency-groups"]
    compiling = {_name(spec) for spec in groups["native"]}
    included = {"include-group": "native"}
    developers = [each for each in groups["dev"] if each != included]

    assert runtime <= lock["runtime"]
    assert compiling <= lock["native"]
    wanted = {_name(spec) for spec in (*extras, *developers)}
    assert runtime | compiling | wanted <= lock["dev"]


def _name(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None
    return name[0].lower().replace("_", "-")
