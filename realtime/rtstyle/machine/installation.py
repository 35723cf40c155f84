"""How this copy of rtstyle was installed, and so what adds to it."""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

NAME = "rtstyle"
PACKAGE = Path(__file__).resolve().parents[1]


def get_extra(extra: str) -> str:
    """Return the command that adds an extra to this copy of rtstyle."""
    return command(extra, origin(), sys.prefix, find_spec("pip") is not None)


def command(extra: str, found: dict[str, Any] | None, prefix: str, has_pip: bool) -> str:
    """Return the command that adds an extra.

    `found` is the `direct_url.json` of PEP 610: empty for what came from an index, None for what is
    not installed. `prefix` is the environment, `has_pip` whether it has pip.
    """
    wanted, editable = requirement(extra, found)
    places = PurePath(prefix).parts
    if "pipx" in places:
        return f"pipx install --force {wanted}"
    if "uv" in places and "tools" in places:
        return f"uv tool install --force {wanted}"
    how = f"-e {wanted}" if editable else wanted
    if has_pip:
        return f"pip install {how}"
    return f"uv pip install --python {quoted(sys.executable)} {how}"


def requirement(extra: str, found: dict[str, Any] | None) -> tuple[str, bool]:
    """Return what names this copy with an extra, for a shell, and whether it is editable."""
    if found is None:
        # Run from its folder, as with PYTHONPATH.
        return quoted(f"{clone() or '.'}[{extra}]"), True
    url = str(found.get("url", ""))
    if url.startswith("file:"):
        place = url2pathname(unquote(urlsplit(url).path))
        return quoted(f"{place}[{extra}]"), bool(found.get("dir_info", {}).get("editable"))
    if "vcs_info" in found:
        kind = found["vcs_info"].get("vcs", "git")
        return quoted(f"{NAME}[{extra}] @ {kind}+{url}"), False
    if url:
        return quoted(f"{NAME}[{extra}] @ {url}"), False
    return quoted(f"{NAME}[{extra}]"), False


def quoted(text: str) -> str:
    """Return a word of a command line."""
    return f'"{text}"' if set(text) & set(" []@") else text


def clone() -> Path | None:
    """Return the folder of the repository that this code lies in, None where it is installed."""
    folder = PACKAGE.parents[1]
    return folder if (folder / "pyproject.toml").is_file() else None


@lru_cache(maxsize=1)
def origin() -> dict[str, Any] | None:
    """Return what the installer noted of this copy, see `command`."""
    try:
        found: Distribution = distribution(NAME)
    except PackageNotFoundError:
        return None
    text = found.read_text("direct_url.json")
    noted: dict[str, Any] = json.loads(text) if text else {}
    installed = Path(str(found.locate_file(NAME)))
    if noted.get("dir_info", {}).get("editable") or not clone():
        return noted
    # Another copy is installed than the one that runs.
    return noted if installed.exists() and installed.samefile(PACKAGE) else None
