"""Damaged inputs: what once did harm, a few new ones, and the proof that harm would be seen."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import fuzz.child
import pytest
from fuzz.run import CORPUS, keep, prepare, run_child
from fuzz.targets import OLD, TARGETS, whole_or_old

from rtstyle.errors import SourceError

SEED = 20
INPUTS = 12


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("fuzz")
    prepare(place)
    return place


@pytest.mark.parametrize("target", TARGETS)
def test_damaged_inputs_do_no_harm(target: str, place: Path) -> None:
    outcome = run_child(target, place, most=INPUTS, seed=SEED)
    assert outcome.kind == "", outcome.message
    assert outcome.inputs >= INPUTS - 2  # Hypothesis may end sooner, or repeat none


@pytest.mark.parametrize("target", [t for t in TARGETS if (CORPUS / t).is_dir()])
def test_what_did_harm_once_does_none_now(target: str, place: Path) -> None:
    files = tuple(sorted((CORPUS / target).iterdir()))
    outcome = run_child(target, place, files=files)
    assert outcome.kind == "", outcome.message
    assert outcome.inputs == len(files) > 0


def test_the_corpus_is_of_known_targets() -> None:
    assert {path.name for path in CORPUS.iterdir() if path.is_dir()} <= set(TARGETS)


HARMFUL = {
    "crash": "import os; os.kill(os.getpid(), 11)",
    "hang": "import time; time.sleep(60)",
    "exception": "raise KeyError('unforeseen')",
    "memory": "bytearray(20 << 30)",
}


@pytest.mark.parametrize("kind", HARMFUL)
@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_harm_is_seen_and_its_input_kept(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target that does harm at inputs with an A in them, in a child as any other."""
    (tmp_path / "sitecustomize.py").write_text(
        "import fuzz.child, fuzz.targets\n"
        "from hypothesis import strategies as st\n"
        "def run(data, folder):\n"
        f"    if b'A' in data: {HARMFUL[kind]}\n"
        "inputs = lambda folder: st.binary(max_size=4)\n"
        "fuzz.targets.TARGETS['bad'] = fuzz.targets.Target('bad', inputs, run)\n"
        "fuzz.child.LIMIT = 1.0\n"
    )
    bad = tmp_path / "input"
    bad.write_bytes(b"xAx")
    good = tmp_path / "good"
    good.write_bytes(b"xx")
    # As a module that the child imports first of all.
    monkeypatch.setattr("fuzz.run.MODULE", ["-c", _start(tmp_path)])
    outcome = run_child("bad", tmp_path, files=(good, bad))
    assert outcome.kind == kind, outcome.message
    assert outcome.data == b"xAx"
    assert keep("bad", outcome, tmp_path / "kept").read_bytes() == b"xAx"
    assert run_child("bad", tmp_path, files=(good,)).kind == ""


def _start(folder: Path) -> str:
    harm = folder / "sitecustomize.py"
    return f"exec(open({str(harm)!r}).read()); import fuzz.child; fuzz.child.main()"


class TestOutputs:
    @pytest.fixture
    def output(self, tmp_path: Path) -> Path:
        output = tmp_path / "out.png"
        output.write_bytes(OLD)
        return output

    def test_the_old_one_may_stay(self, output: Path) -> None:
        whole_or_old(output, output.parent, {"out.png"})

    def test_a_half_written_one_is_seen(self, output: Path) -> None:
        from PIL import Image

        Image.new("RGB", (300, 200), "red").save(output)
        whole_or_old(output, output.parent, {"out.png"})
        output.write_bytes(output.read_bytes()[:-200])
        with pytest.raises(OSError, match=r"."):
            whole_or_old(output, output.parent, {"out.png"})

    def test_a_lost_one_and_a_leftover_are_seen(self, output: Path) -> None:
        output.rename(output.with_name(".out.tmp"))
        with pytest.raises(AssertionError, match="left behind"):
            whole_or_old(output, output.parent, {"out.png"})


def test_refusals_are_counted_and_are_one_line(tmp_path: Path) -> None:
    def run(data: bytes, folder: Path) -> None:
        assert list(folder.iterdir()) == []
        (folder / "left").write_bytes(data)
        raise SourceError(data.decode())

    target = fuzz.child.Runner(TARGETS["clips"], tmp_path, 10)
    target.target = type("T", (), {"run": staticmethod(run)})
    began = time.monotonic()
    target.take(b"no")
    target.take(b"no\nneither")  # `errors` joins lines
    assert target.count == {"inputs": 2, "refused": 2}
    assert 0 <= target.slowest <= time.monotonic() - began
    with pytest.raises(AssertionError, match="no line"):
        target.take(b"")
    assert (tmp_path / "folder" / "left").exists()
