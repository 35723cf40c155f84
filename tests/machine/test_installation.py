"""What adds an extra to this copy of rtstyle, however it was installed."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from rtstyle import errors
from rtstyle.errors import UsageError
from rtstyle.machine import installation


@pytest.mark.parametrize(
    ("found", "prefix", "expected"),
    [
        ({}, "/venv", 'pip install "rtstyle[train]"'),
        (
            {"url": "file:///a/rtstyle-0.1.0-py3-none-any.whl", "archive_info": {}},
            "/venv",
            'pip install "/a/rtstyle-0.1.0-py3-none-any.whl[train]"',
        ),
        (
            {"url": "file:///my%20code/rtstyle", "dir_info": {"editable": True}},
            "/venv",
            'pip install -e "/my code/rtstyle[train]"',
        ),
        (
            {"url": "https://example.org/r.git", "vcs_info": {"vcs": "git"}},
            "/home/me/.local/pipx/venvs/rtstyle",
            'pipx install --force "rtstyle[train] @ git+https://example.org/r.git"',
        ),
        (
            {"url": "file:///a/r.whl"},
            "/home/me/.local/share/uv/tools/rtstyle",
            'uv tool install --force "/a/r.whl[train]"',
        ),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX")
def test_the_command_fits_the_installation(
    found: dict[str, Any], prefix: str, expected: str
) -> None:
    assert installation.command("train", found, prefix, has_pip=True) == expected


def test_an_environment_without_pip_is_filled_by_uv() -> None:
    words = installation.command("serve", {}, "/venv", has_pip=False)
    assert words == f'uv pip install --python {sys.executable} "rtstyle[serve]"'


def test_a_copy_that_is_run_from_its_folder_names_the_folder() -> None:
    words = installation.command("serve", None, "/venv", has_pip=True)
    assert words == f'pip install -e "{installation.clone() or "."}[serve]"'


def test_messages_speak_to_their_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    error = UsageError("a.mp4 exists already.", "", "Add --overwrite, or use --keep-color.")
    monkeypatch.setattr(errors, "_command_line", False)
    assert str(error) == "a.mp4 exists already. Add overwrite=True, or use keep_color."
    errors.speak_to_command_line()
    assert str(error).endswith("Add --overwrite, or use --keep-color.")
    monkeypatch.setattr(installation, "get_extra", lambda extra: f"fetch {extra}")
    missing = UsageError("It needs PyTorch.", "", "pip install 'rtstyle[train]'")
    assert str(missing) == "It needs PyTorch. Run: fetch train"
