"""The files beside the pages, served from memory and compressed once."""

import gzip
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".LICENSE": "text/plain; charset=utf-8",
}
_PACKED: Final = {".css", ".js", ".svg"}
"""What gets smaller; typefaces are compressed already."""
_FOR_GOOD: Final = "public, max-age=31536000, immutable"


class _File(NamedTuple):
    kind: str
    raw: bytes
    packed: bytes | None


class Files:
    """What browsers keep for good: the address changes with the content."""

    def __init__(self, folder: Path, joined: Mapping[str, Sequence[str]]) -> None:
        """Read all files of `folder`; each of `joined` is several as one."""
        self._files = dict(_read(folder))
        for name, parts in joined.items():
            raw = b"\n".join(self._files[part].raw for part in parts)
            self._files[name] = _file(name, raw)
        digest = hashlib.blake2b(digest_size=6)
        for name, file in sorted(self._files.items()):
            digest.update(name.encode())
            digest.update(file.raw)
        self.url: Final = f"/static/{digest.hexdigest()}"
        """Where they are served."""

    def has(self, name: str) -> bool:
        """Say whether there is a file of this name."""
        return name in self._files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for one of them."""
        file = self._files.get(scope["path"].rpartition(f"{self.url}/")[2])
        if file is None or scope["method"] not in {"GET", "HEAD"}:
            raise HTTPException(404 if file is None else 405)
        headers = {"Cache-Control": _FOR_GOOD}
        body = file.raw
        if file.packed is not None:
            headers["Vary"] = "Accept-Encoding"
            if "gzip" in Headers(scope=scope).get("Accept-Encoding", ""):
                headers["Content-Encoding"], body = "gzip", file.packed
        await Response(body, media_type=file.kind, headers=headers)(
            scope, receive, send
        )


def _read(folder: Path) -> dict[str, _File]:
    return {
        name: _file(name, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in _TYPES
        for name in (path.relative_to(folder).as_posix(),)
    }


def _file(name: str, raw: bytes) -> _File:
    ending = Path(name).suffix
    # The same bytes from every process: no time of making in them.
    packed = gzip.compress(raw, 9, mtime=0) if ending in _PACKED else None
    return _File(_TYPES[ending], raw, packed)
