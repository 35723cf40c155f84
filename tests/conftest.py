"""Fixtures for every test: a cache and a styles folder of their own, and the shared test data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from helpers.any_models import write_any, write_latent
from helpers.models import identity_model, invert_model, network_model, write_pretrained

from rtstyle.errors import speak_to_command_line

pytest_plugins = ["helpers.watchdog"]

# PyTorch on one thread, here and in child processes: small networks gain nothing by more, and where
# the machine is busy, threads that wait for each other take 30 times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Nobody's own styles: tests that add some have a folder of their own.
os.environ["RTSTYLE_OWN_STYLES"] = os.devnull

# A busy machine is slow: no test waits on the clock.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")

DATA = Path(
    os.environ.get("RTSTYLE_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)


@pytest.fixture(scope="session")
def pretrained_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained folder of small generated models.

    The styles identity and invert, the network mosaic, and those for any style (`any_models`),
    with the painting of mosaic: blue, hardly varied.
    """
    folder = tmp_path_factory.mktemp("pretrained")
    network = {"fast": network_model(4, seed=1), "balanced": network_model(8, seed=2)}
    styles = {"identity": identity_model(), "invert": invert_model()}
    write_pretrained(
        folder,
        {"mosaic": network, **{n: {"fast": m, "balanced": m} for n, m in styles.items()}},
    )
    write_any(folder, {"mosaic": np.array([20, 40, 200, 5, 5, 5], np.float32)})
    return folder


@pytest.fixture(scope="session")
def sampled_styles(pretrained_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pretrained folder with a latent space, from which styles are sampled."""
    folder = tmp_path_factory.mktemp("sampled") / "styles"
    shutil.copytree(pretrained_folder, folder)
    write_latent(folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_folders(
    tmp_path_factory: pytest.TempPathFactory, pretrained_folder: Path
) -> Iterator[None]:
    """Keep tests away from the user's cache, from the shipped styles, and from the load."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RTSTYLE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("RTSTYLE_STYLES", str(pretrained_folder))
        # Messages name options; tests/machine/test_installation.py shows how else they speak.
        speak_to_command_line()
        # On a busy machine, a process that lets every other one go first may wait for minutes.
        patch.setattr("rtstyle.live.bank.apart.NICENESS", 0)
        yield


@pytest.fixture
def data() -> Path:
    """The shared test data; skips the test where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no test data in {DATA}")
    return DATA
