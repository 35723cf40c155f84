"""The plugin that ends hanging tests, in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# PyDLL keeps the lock of the interpreter, so that no signal handler written in Python runs.
STUCK = "ctypes.PyDLL(None).sleep(60)"
HANGS = {
    "in C": f"def test():\n    {STUCK}",
    "in a teardown after a failure": f"""
@pytest.fixture
def it():
    yield
    {STUCK}

def test(it):
    assert False""",
    "at the end": "def test():\n    threading.Thread(target=time.sleep, args=(60,)).start()",
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sleep has another name there")
@pytest.mark.parametrize("to_file", [{}, {"RTSTYLE_TEST_HANG": "hang"}], ids=["stderr", "file"])
@pytest.mark.parametrize("code", HANGS.values(), ids=HANGS.keys())
def test_a_hang_ends_with_every_stack(tmp_path: Path, code: str, to_file: dict[str, str]) -> None:
    imports = "import ctypes, threading, time\n\nimport pytest\n\n"
    (tmp_path / "test_it.py").write_text(imports + code)
    (tmp_path / "pytest.ini").write_text("[pytest]\nwatchdog = 0.5\n")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "helpers.watchdog",
            "-p",
            "no:timeout",
            "test_it.py",
        ],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parent)} | to_file,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 1
    told = done.stderr if not to_file else (tmp_path / "hang").read_text()
    assert "Timeout (0:00:00.500000)!" in told
    assert "test_it.py" in told or "threading.py" in told
