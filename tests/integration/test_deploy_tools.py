"""Image, compose file and manifests as the tools see them that others made for that.

Each is skipped, aloud, where its tool cannot be had; `make it` installs two of them.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parent.parent.parent
KUBERNETES = ROOT / "deploy" / "kubernetes"
RELEASES = ("1.31", "1.37")
"""Of Kubernetes: the oldest that is held against, and the newest."""


def tool(name: str) -> str:
    """Return where a program is: beside Python, or on the PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name.upper()} IS NOT HERE: make deploy-tools, or install it")
    return found


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_hadolint_has_nothing_to_say_of_the_image() -> None:
    """The Dockerfile keeps to the rules that everybody knows."""
    assert run(tool("hadolint"), str(ROOT / "deploy" / "Dockerfile")) == ""


def test_compose_reads_its_file() -> None:
    """docker-compose understands the file as it is."""
    run(tool("docker-compose"), "-f", str(ROOT / "docker-compose.yml"), "config", "-q")


@pytest.mark.parametrize("release", RELEASES)
def test_the_base_is_valid_kubernetes(release: str) -> None:
    """Every resource of the base fits the schemas, with no field that is not there."""
    files = [
        str(path)
        for path in sorted((KUBERNETES / "base").glob("*.yaml"))
        if path.name != "kustomization.yaml"
    ]
    run(tool("kubernetes-validate"), "-k", release, "--strict", "--quiet", *files)


def test_the_example_overlay_builds(tmp_path: Path) -> None:
    """Kustomize puts base, components, image and secrets together, all of it valid."""
    kubectl = tool("kubectl")
    copy = tmp_path / "kubernetes"
    shutil.copytree(KUBERNETES, copy)
    secrets = copy / "overlays" / "example" / "secrets"
    secrets.mkdir(exist_ok=True)
    (secrets / "write-keys").write_text("website=0123456789abcdef")
    (secrets / "delivery-secrets").write_text("sales-channel=xoxb-0")
    (secrets / "privacy-key").write_text("0123456789abcdef0123456789abcdef")
    overlay = copy / "overlays" / "example" / "kustomization.yaml"
    monitoring = "  - ../../components/monitoring"
    told = overlay.read_text("utf-8").replace(
        f"{monitoring} #", f"{monitoring}\n{monitoring}-token #"
    )
    overlay.write_text(told, "utf-8")

    built = run(kubectl, "kustomize", str(copy / "overlays" / "example"))

    assert "image: registry.example.com/leadpulse:0.1.0" in built
    assert "LEADPULSE_REPLICATION_FACTOR" in built
    assert built.count("kind: KafkaTopic") > 10
    assert built.count("kind: ScaledObject") == 2
    roles = len(re.findall("^kind: (?:Deployment|StatefulSet)$", built, re.MULTILINE))
    assert built.count("name: LEADPULSE_ACCESS_TOKENS\n") == roles
    assert "credentials:\n        key: prometheus\n" in built
    native = [
        part
        for part in built.split("\n---\n")
        if not any(
            group in part for group in ("strimzi.io/v", "keda.sh/v", "coreos.com/v")
        )
    ]
    (tmp_path / "native.yaml").write_text("\n---\n".join(native))
    run(
        tool("kubernetes-validate"),
        *("-k", RELEASES[-1], "--strict", "--quiet", str(tmp_path / "native.yaml")),
    )
