"""Workspaces: tenants of one deployment, who never see or touch each other.

A workspace is part of every derived id, so the keys on all topics, the states, the
models and the view are apart by construction: `ld_acme_…` is a lead of ``acme``.
"""

import hashlib
import re
from typing import Annotated, Final

import msgspec

DEFAULT_WORKSPACE: Final = "default"
"""The workspace of whoever names none; its ids do not name it either."""

PATTERN: Final = r"^[a-z][a-z0-9-]{0,39}$"

Workspace = Annotated[
    str,
    msgspec.Meta(
        pattern=PATTERN, description="The tenant it belongs to; `default` for one."
    ),
]

_OF_ID: Final = re.compile(r"(?:ld|ac)_([a-z][a-z0-9-]{0,39})_[0-9a-f]{32}")
_NAME: Final = re.compile(PATTERN)


def is_workspace(name: str) -> bool:
    """Say whether a workspace may be called so.

    >>> is_workspace("acme-eu"), is_workspace("Acme"), is_workspace("")
    (True, False, False)
    """
    return _NAME.fullmatch(name) is not None


def prefixed(kind: str, workspace: str) -> str:
    """Return what the ids of a kind (``ld``, ``ac``) begin with in a workspace.

    >>> prefixed("ld", "acme"), prefixed("ld", DEFAULT_WORKSPACE)
    ('ld_acme_', 'ld_')
    """
    return f"{kind}_" if workspace == DEFAULT_WORKSPACE else f"{kind}_{workspace}_"


def derived_id(kind: str, person: bytes, told: str, workspace: str) -> str:
    """Return the id of a kind (``ld``, ``ac``) that is derived from what is told.

    128 bits of BLAKE2b, personalised by `person`, over `told`; in any workspace but
    the default over its name, too, so that nobody can match ids across workspaces.
    """
    if workspace != DEFAULT_WORKSPACE:
        told = f"{workspace}\x00{told}"
    digest = hashlib.blake2b(
        told.encode(errors="surrogatepass"), digest_size=16, person=person
    )
    return prefixed(kind, workspace) + digest.hexdigest()


def workspace_of(derived_id: str) -> str:
    """Return the workspace of a lead's or an account's id.

    >>> workspace_of("ld_acme_" + "0" * 32), workspace_of("ld_" + "0" * 32)
    ('acme', 'default')
    """
    # The default's ids are the shortest, and by far the most.
    if len(derived_id) <= _PLAIN:
        return DEFAULT_WORKSPACE
    found = _OF_ID.fullmatch(derived_id)
    return DEFAULT_WORKSPACE if found is None else found[1]


_PLAIN: Final = len("ld_") + 32


def split_source(name: str) -> tuple[str, str]:
    """Return workspace and source of a write key's name, ``workspace/source``.

    >>> split_source("acme/web"), split_source("web")
    (('acme', 'web'), ('default', 'web'))
    """
    workspace, separator, source = name.rpartition("/")
    return (workspace, source) if separator else (DEFAULT_WORKSPACE, source)
