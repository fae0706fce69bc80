"""Compile the core with mypyc: the same sources, about twice as fast (ADR 0039).

``python deploy/native.py build/native`` makes a copy of the checkout in which the
modules below are compiled; ``PYTHONPATH=$PWD/build/native leadpulse worker`` runs it.
With ``HATCH_BUILD_HOOK_ENABLE_CUSTOM=1`` a wheel has them, too. It needs a C compiler,
and what `make setup` installs. Nothing else changes: each module's source lies beside
it, and is what runs where there is no compiled one.
"""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("schemas", "scorers", "streams")

_CORE: Final = (
    "account_notice",
    "account_rules",
    "accounts",
    "alerting",
    "belonging",
    "compiled",
    "compiled_rules",
    "conditions",
    "consent",
    "crossing",
    "curve",
    "decay",
    "draft",
    "explain",
    "facts",
    "free_mail",
    "holding",
    "identity",
    "judging",
    "linking",
    "machine_notes",
    "machine_traffic",
    "mail_bursts",
    "mailbox",
    "masses",
    "memory",
    "merging",
    "notice",
    "reading",
    "scorer",
    "versions",
    "withholding",
)
MODULES: Final = (
    *(f"scorers/{name}.py" for name in _CORE),
    "schemas/cloudevents.py",
    "schemas/time.py",
    "schemas/workspace.py",
    "scorers/wheel.py",
    "streams/agents/accounts.py",
    "streams/agents/cycle.py",
    "streams/agents/durable.py",
    "streams/agents/scoring.py",
    "streams/codec.py",
    "streams/partitioner.py",
    "streams/producing.py",
    "streams/rebuilding.py",
    "streams/record_batches.py",
    "streams/tables.py",
    "streams/timers.py",
    "streams/transport/received.py",
)
"""What a profile of the worker shows; nothing that is written or read by its shape."""
_BESIDE: Final = ("bench/peers/toy_agent.py",)
"""What is measured as an agent of ours; in no wheel."""

_HARMLESS: Final = {"frozen", "gc"}
_LEFT_OUT: Final = shutil.ignore_patterns(
    ".*_cache", ".git", ".hypothesis", ".venv", "__pycache__", "build", "node_modules"
)


class NativeHook(BuildHookInterface):  # type: ignore[type-arg] # any configuration
    """Puts the compiled modules into a wheel, beside their sources."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile for this Python and this kind of machine; nothing if editable."""
        if version == "editable":
            return
        folder = Path(self.root) / "build" / "native-wheel"
        shutil.rmtree(folder, ignore_errors=True)
        for package in PACKAGES:
            source = Path(self.root) / package
            shutil.copytree(source, folder / package, ignore=_LEFT_OUT)
        compile_in(folder)
        shutil.rmtree(folder / "build", ignore_errors=True)
        for built in folder.rglob("*.so"):
            place = str(built.relative_to(folder))
            build_data["force_include"][str(built)] = place
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def compile_in(folder: Path) -> None:
    """Compile the modules in `folder`, in which the packages lie.

    Raises
    ------
    SystemExit
        When one of them must not be compiled, or cannot be.
    """
    shapes = [wrong for name in present(folder) for wrong in shaped(folder / name)]
    if shapes:
        sys.exit("would be written differently once compiled: " + ", ".join(shapes))
    # A product that is added to in one step has other last bits on some machines.
    flags = f"{os.environ.get('CFLAGS', '')} -ffp-contract=off"
    done = subprocess.run(
        [sys.executable, str(Path(__file__).resolve()), "--in-place"],
        cwd=folder,
        env={**os.environ, "CFLAGS": flags},
        check=False,
    )
    if done.returncode:
        sys.exit("the core could not be compiled: is there a C compiler?")


def present(folder: Path) -> list[str]:
    """Return the modules that are to be compiled of those in `folder`."""
    return [*MODULES, *(name for name in _BESIDE if (folder / name).exists())]


def shaped(path: Path) -> list[str]:
    """Return the classes of a module that depend on what msgspec is told of them.

    mypyc does not hand on the arguments of a class: a struct that is written as an
    array would be written as an object.
    """
    return [
        f"{path.stem}.{each.name}"
        for each in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(each, ast.ClassDef)
        and {keyword.arg for keyword in each.keywords} - _HARMLESS
    ]


def _build() -> None:
    """Compile in the folder that this is run in."""
    from mypyc.build import mypycify  # noqa: PLC0415 - of developers and builders
    from setuptools import setup  # noqa: PLC0415 - same

    extensions = mypycify(
        ["--python-version", "3.11", "--ignore-missing-imports", *present(Path())],
        opt_level=os.environ.get("NATIVE_LEVEL", "2"),
        debug_level="0",
    )
    setup(
        name="leadpulse-native",
        packages=[],
        py_modules=[],
        ext_modules=extensions,
        script_args=["--quiet", "build_ext", "--inplace", "--build-temp", "temp"],
    )


def main() -> None:
    """Copy the checkout into the folder that is named, and compile it there."""
    match sys.argv[1:]:
        case ["--in-place"]:
            _build()
        case [name]:
            folder = Path(name).resolve()
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(ROOT, folder, ignore=_LEFT_OUT)
            (folder / "pyproject.toml").rename(folder / "pyproject.kept")
            compile_in(folder)
            (folder / "pyproject.kept").rename(folder / "pyproject.toml")
            for left in ("build", "temp"):
                shutil.rmtree(folder / left, ignore_errors=True)
            print(f"PYTHONPATH={folder} runs with the core compiled")  # noqa: T201
        case _:
            sys.exit("usage: python deploy/native.py FOLDER")


if __name__ == "__main__":
    main()
