"""The documents: the front page is short, links lead somewhere, commands and files exist."""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pil
from test_layers import LAYERS
from typer.main import get_command

from rtstyle.cli import build_app
from rtstyle.engines.devices import DEVICES
from rtstyle.live.keys import KEYS

ROOT = next(p for p in Path(__file__).resolve().parents if (p / "pyproject.toml").is_file())
DOCUMENTS = (
    "README.md",
    "CHANGELOG.md",
    ".github/CONTRIBUTING.md",
    "export/README.md",
    "pretrained/README.md",
    "realtime/README.md",
    "realtime/rtstyle/models/README.md",
    "scripts/README.md",
    "scripts/gpu/README.md",
    "tests/README.md",
)
MOST_BYTES = 7000
MOST_MOVING_BYTES = 3_000_000
# Where a document may leave the first folders of a file out.
BASES = (".", "realtime", "realtime/rtstyle", "export", "tests")


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def fenced(text: str) -> Iterator[str]:
    """Lines of blocks of shell commands."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield from block.splitlines()


def spans(text: str) -> Iterator[str]:
    """Code in running text and tables; a span may go over the end of a line."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for span in re.findall(r"`([^`]+)`", text):
        yield " ".join(span.split()).replace("\\|", "|")


def command_lines(text: str) -> Iterator[list[str]]:
    """Words behind each `rtstyle`, up to the end of the command."""
    for line in (*fenced(text), *spans(text)):
        words = shlex.split(line, comments=True)
        while "rtstyle" in words:
            words = words[words.index("rtstyle") + 1 :]
            ends = [words.index(word) for word in ("|", ">", "&&", "rtstyle") if word in words]
            yield words[: min(ends, default=len(words))]


@cache
def app() -> Any:
    return get_command(build_app())


def check_command(words: list[str]) -> str:
    """Return what is wrong with a command line, behind `rtstyle`; nothing if all is well."""
    command, rest = app(), words
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            return f"no command {rest[0]!r}"
        command, rest = command.commands[rest[0]], rest[1:]
    known = {"--help", "-h"}.union(*((*p.opts, *p.secondary_opts) for p in command.params))
    wrong = [word for word in rest if re.match(r"--?[a-z]", word) and word not in known]
    return f"{command.name} has no {wrong}" if wrong else ""


def anchor(title: str) -> str:
    """Name of a heading, as Markdown viewers make it."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


def test_the_front_page_is_one_screen() -> None:
    assert len(read("README.md").encode()) <= MOST_BYTES


def test_the_front_page_begins_with_a_picture_that_moves() -> None:
    found = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", read("README.md").split("\n## ")[0])
    assert len(found) == 1
    path = ROOT / found[0]
    assert path.stat().st_size <= MOST_MOVING_BYTES
    with Pil.open(path) as picture:
        assert getattr(picture, "n_frames", 1) > 24


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_pictures_exist(document: str) -> None:
    missing = []
    for link in re.findall(r"\]\(([^)\s]+)\)", read(document)):
        if "://" in link:
            continue
        name, _, part = link.partition("#")
        path = (ROOT / document).parent / name if name else ROOT / document
        if not path.exists():
            missing.append(link)
        elif part:
            titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            if part not in map(anchor, titles):
                missing.append(link)
    assert missing == []


def test_no_document_is_left_out() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("realtime", "export", "scripts", "pretrained", ".github", "tests")
        for path in (ROOT / folder).rglob("*.md")
    }
    assert found <= set(DOCUMENTS)


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if d != "CHANGELOG.md"])
def test_commands_and_options_exist(document: str) -> None:
    wrong = {
        " ".join(words): problem
        for words in command_lines(read(document))
        if (problem := check_command(words))
    }
    assert wrong == {}


def test_the_front_page_names_the_main_commands() -> None:
    used = {words[0] for words in command_lines(read("README.md")) if words}
    assert used >= {"video", "image", "webcam", "serve", "train", "bench", "doctor"}


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if d != "CHANGELOG.md"])
def test_files_that_are_named_exist(document: str) -> None:
    names = {
        name
        for span in spans(read(document))
        for name in re.findall(r"(?<![\w/.-])(?:[\w.-]+/)+[\w-]+\.(?:py|cpp|md)\b", span)
    }
    assert [name for name in names if not any((ROOT / b / name).is_file() for b in BASES)] == []


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if d != "CHANGELOG.md"])
def test_scripts_and_their_options_exist(document: str) -> None:
    missing = []
    for line in (*fenced(read(document)), *spans(read(document))):
        for name, rest in re.findall(r"(?<![\w/.-])(scripts/[a-z_/]+)(?![\w.])([^|#]*)", line):
            path = ROOT / name
            text = path.read_text(encoding="utf-8") if path.is_file() else ""
            missing += [] if path.exists() else [name]
            missing += [o for o in re.findall(r"(?<!\S)--[a-z-]+", rest) if o not in text]
    assert missing == []


def test_all_keys_of_the_window_and_all_devices_are_documented() -> None:
    found = set(spans(read("realtime/README.md")))
    wanted = {key for entry in KEYS for key in entry.shown.split()} | {*DEVICES} - {"auto"}
    assert wanted - found == set()


def test_the_unit_of_the_kiosk_is_one_that_systemd_takes() -> None:
    (text,) = re.findall(r"```ini\n(.*?)```", read("realtime/README.md"), re.DOTALL)
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(text)
    service = unit["Service"]
    # What the command tells by sd_notify is waited for.
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) >= 10
    assert service["Restart"] == "always"
    path, *words = shlex.split(service["ExecStart"])
    assert path == "%h/.local/bin/rtstyle"
    assert check_command(words) == ""
    assert "--kiosk" in words


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("rtstyle paint a.mp4", "no command 'paint'"),
        ("cat a | rtstyle video - - --loud | ffplay -", "video has no ['--loud']"),
        ("rtstyle bench live --frames 3", "live has no ['--frames']"),
        ("rtstyle bench --frames 3", ""),
        ("uv run rtstyle image a.jpg b.png --style x:1", ""),
    ],
)
def test_a_wrong_command_is_found(line: str, problem: str) -> None:
    (words,) = command_lines(f"```sh\n{line}  # why\n```\n")
    assert check_command(words) == problem


def test_the_layers_are_drawn_as_they_are_checked() -> None:
    drawn = {" ".join(line.split()) for line in read(".github/CONTRIBUTING.md").splitlines()}
    drawn |= {line.removeprefix("rtstyle ") for line in drawn}
    down = " > ".join(LAYERS["rtstyle_export"])
    assert {*LAYERS["rtstyle"], f"rtstyle_export {down}"} - drawn == set()
