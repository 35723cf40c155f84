from __future__ import annotations

import signal
import threading
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import console
from helpers.media import decode, number_of, packets, picture, write_clip
from PIL import Image as Pil

from rtstyle import stylize_video
from rtstyle.commands.progress import parse_time
from rtstyle.errors import EngineError, RtstyleError, SinkError, SourceError, StyleError, UsageError
from rtstyle.files.sizes import human_size
from rtstyle.jobs.video import VideoReport
from rtstyle.painting.stylizer import Stylizer
from rtstyle.report import Progress
from rtstyle.signals import ENDING
from rtstyle.sinks.encoding.settings import Encoding
from rtstyle.testing import FakeSource


def paint(source: Path, output: Path, style: str = "identity", **options: Any) -> VideoReport:
    return stylize_video(source, output, style, size="fast", device="cpu", **options)


command = partial(console.command, "video")


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return write_clip(folder / "clip.mp4", frames=20, sound="aac")


class TestJob:
    def test_every_frame_and_the_sound_arrive(self, clip: Path, tmp_path: Path) -> None:
        seen: list[Progress] = []
        report = paint(clip, tmp_path / "out.mp4", progress=seen.append)
        before, after = decode(clip), decode(tmp_path / "out.mp4")
        numbers = [number_of(f.to_ndarray(format="rgb24"), 6) for f in after]
        assert numbers == list(range(20))
        assert [f.pts * f.time_base for f in after] == [f.pts * f.time_base for f in before]
        assert packets(tmp_path / "out.mp4", "audio") == packets(clip, "audio")
        assert (report.frames, report.width, report.height) == (20, 96, 64)
        assert report.path == tmp_path / "out.mp4"
        assert report.bytes == report.path.stat().st_size
        assert not report.stopped
        assert report.notes == []
        assert [s.frames_out for s in seen] == list(range(1, 21))
        assert seen[-1].total == 20
        assert seen[-1].written > 0
        assert names(tmp_path) == ["in", "out.mp4"]

    def test_the_style_is_applied(self, clip: Path, tmp_path: Path) -> None:
        paint(clip, tmp_path / "out.mp4", "invert")
        image = decode(tmp_path / "out.mp4")[3].to_ndarray(format="rgb24")
        assert np.abs(image.astype(float) - (255 - picture(96, 64, 3))).mean() < 6

    def test_a_network_runs(self, clip: Path, tmp_path: Path) -> None:
        assert paint(clip, tmp_path / "out.mkv", "mosaic", end=0.2).frames == 5

    def test_height_and_side_by_side(self, clip: Path, tmp_path: Path) -> None:
        report = paint(clip, tmp_path / "out.mp4", "invert", height=32, side_by_side=True)
        assert (report.width, report.height) == (96, 32)
        image = decode(tmp_path / "out.mp4")[0].to_ndarray(format="rgb24").astype(float)
        left, right = image[10:, :48], image[10:, 48:]
        assert np.abs(left + right - 255).mean() < 8

    def test_strength_0_is_the_original(self, clip: Path, tmp_path: Path) -> None:
        paint(clip, tmp_path / "out.mp4", "invert", strength=0.0)
        image = decode(tmp_path / "out.mp4")[0].to_ndarray(format="rgb24").astype(float)
        assert np.abs(image - picture(96, 64, 0)).mean() < 6

    def test_part_of_a_clip(self, clip: Path, tmp_path: Path) -> None:
        report = paint(clip, tmp_path / "out.mp4", start=0.2, end=0.4)
        after = decode(tmp_path / "out.mp4")
        assert report.frames == 5
        assert [number_of(f.to_ndarray(format="rgb24"), 6) for f in after] == list(range(5, 10))
        assert [f.pts * f.time_base * 25 for f in after] == list(range(5))
        sound = packets(tmp_path / "out.mp4", "audio")
        assert 0 <= sound[0][0] < Fraction(1, 40)
        assert Fraction(1, 6) < sound[-1][0] < Fraction(1, 5)

    def test_without_sound(self, clip: Path, tmp_path: Path) -> None:
        paint(clip, tmp_path / "out.mp4", audio=False)
        with pytest.raises(IndexError):
            packets(tmp_path / "out.mp4", "audio")

    def test_what_was_changed_is_noted(self, tmp_path: Path) -> None:
        source = write_clip(
            tmp_path / "in.mkv", width=97, height=63, codec="ffv1", sound="aac", options={}
        )
        assert paint(source, tmp_path / "out.mp4").notes == [
            "padded to 98x64: libx264 needs even sizes"
        ]
        notes = paint(source, tmp_path / "out.webm").notes
        assert len(notes) == 1
        assert "re-encoded from aac to libopus" in notes[0]

    def test_pictures_in_and_out(self, clip: Path, tmp_path: Path) -> None:
        paint(clip, tmp_path / "frames", end=0.2)
        assert len(names(tmp_path / "frames")) == 5
        report = paint(clip, tmp_path / "p_%03d.png", end=0.2)
        assert report.bytes == sum(p.stat().st_size for p in tmp_path.glob("p_*.png")) > 0
        report = paint(tmp_path / "frames" / "%05d.png", tmp_path / "out.gif")
        assert report.frames == len(decode(tmp_path / "out.gif")) == 5

    def test_an_open_stylizer_is_used_and_left_open(self, clip: Path, tmp_path: Path) -> None:
        with Stylizer("invert", "fast", device="cpu") as stylizer:
            for name in ("a.mp4", "b.mp4"):
                stylize_video(clip, tmp_path / name, stylizer=stylizer)
            assert stylizer(picture(32, 32, 0)).shape == (32, 32, 3)


class TestFailure:
    def old(self, tmp_path: Path) -> Path:
        path = tmp_path / "out.mp4"
        path.write_bytes(b"old")
        return path

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_ctrl_c_keeps_what_was_done(
        self, clip: Path, tmp_path: Path, number: signal.Signals
    ) -> None:
        def interrupt(status: Progress) -> None:
            if status.frames_out == 7:
                signal.raise_signal(number)

        output = self.old(tmp_path)
        report = paint(clip, output, progress=interrupt, overwrite=True)
        assert report.stopped
        assert report.path == tmp_path / "out.partial.mp4"
        assert len(decode(report.path)) == report.frames == 7
        assert packets(report.path, "audio")[-1][0] <= Fraction(7, 25)
        assert output.read_bytes() == b"old"
        assert names(tmp_path) == ["in", "out.mp4", "out.partial.mp4"]

    def test_a_failure_midway_keeps_the_old_file(self, clip: Path, tmp_path: Path) -> None:
        class Broken(Stylizer):
            def __call__(self, image: Any) -> Any:
                if number_of(image, 6) == 9:
                    raise EngineError("The engine broke.")
                return super().__call__(image)

        output = self.old(tmp_path)
        with (
            Broken("identity", "fast", device="cpu") as stylizer,
            pytest.raises(EngineError, match="broke"),
        ):
            stylize_video(clip, output, stylizer=stylizer, overwrite=True)
        assert output.read_bytes() == b"old"
        assert names(tmp_path) == ["in", "out.mp4"]

    def test_success_replaces_it(self, clip: Path, tmp_path: Path) -> None:
        output = self.old(tmp_path)
        paint(clip, output, overwrite=True)
        assert len(decode(output)) == 20

    def test_overwriting_has_to_be_allowed(self, clip: Path, tmp_path: Path) -> None:
        output = self.old(tmp_path)
        with pytest.raises(UsageError, match="exists already"):
            paint(clip, output)
        assert output.read_bytes() == b"old"

    def test_the_input_is_never_the_output(self, clip: Path, tmp_path: Path) -> None:
        link = tmp_path / "link.mp4"
        link.symlink_to(clip)
        before = clip.read_bytes()
        for output in (clip, link):
            with pytest.raises(UsageError, match="both input and output"):
                paint(clip, output)
        assert clip.read_bytes() == before

    @pytest.mark.parametrize("overwrite", [False, True])
    @pytest.mark.parametrize(
        ("source", "output"),
        [
            ("in_%05d.png", "in_%05d.png"),
            ("in_*.png", "in_%05d.png"),
            ("", "in_%05d.png"),
            ("in_%05d.png", ""),
            ("", ""),
            ("in_%05d.png", "../link/in_%05d.png"),
        ],
    )
    def test_input_pictures_are_never_outputs(
        self, tmp_path: Path, source: str, output: str, overwrite: bool
    ) -> None:
        folder = tmp_path / "pics"
        folder.mkdir()
        (tmp_path / "link").symlink_to(folder)
        for number in range(2, 4):
            Pil.new("RGB", (32, 32), (number, 0, 0)).save(folder / f"in_{number:05d}.png")
        before = {path: path.read_bytes() for path in folder.iterdir()}
        with pytest.raises(UsageError, match="input"):
            paint(folder / source, folder / output, "invert", overwrite=overwrite)
        assert {path: path.read_bytes() for path in folder.iterdir()} == before

    @pytest.mark.parametrize("output", ["out", "out/%05d.png"])
    def test_existing_pictures_need_a_word(self, clip: Path, tmp_path: Path, output: str) -> None:
        old = tmp_path / "out" / "00003.png"
        old.parent.mkdir()
        (old.parent / "notes.txt").write_text("other files do not matter")
        paint(clip, tmp_path / output, end=0.08)
        old.write_bytes(b"precious")
        for file in old.parent.glob("0000[12].png"):
            file.unlink()
        with pytest.raises(UsageError, match=r"00003\.png exists already"):
            paint(clip, tmp_path / output, end=0.2)
        assert old.read_bytes() == b"precious"
        paint(clip, tmp_path / output, end=0.08, overwrite=True)
        assert names(old.parent) == ["00001.png", "00002.png", "notes.txt"]

    def test_a_source_that_hangs_is_left_open(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        released = threading.Event()

        def hang(index: int) -> None:
            if index == 1:
                assert released.wait(10)

        source = FakeSource(on_frame=hang)
        monkeypatch.setattr("rtstyle.jobs.video.open_video", lambda *_, **__: source)
        monkeypatch.setattr("rtstyle.pipeline.CAPTURE_PATIENCE", 0.01)
        report = paint(
            tmp_path / "camera", tmp_path / "out.mp4", audio=False,
            progress=lambda _: signal.raise_signal(signal.SIGINT),
        )  # fmt: skip
        assert report.stopped
        assert source.closed == 0
        released.set()
        for thread in threading.enumerate():
            if thread.name.startswith("rtstyle"):
                thread.join(10)

    @pytest.mark.parametrize(
        ("error", "options"),
        [
            (SourceError, {"source": "missing.mp4"}),
            (SourceError, {"start": 9.0}),
            (SinkError, {"output": "no/out.mp4"}),
            (SinkError, {"output": "out.xyz"}),
            (SinkError, {"encoding": Encoding(encoder="nonsense")}),
            (StyleError, {"style": "mosiac"}),
            (UsageError, {"strength": 2.0}),
            (UsageError, {"start": 2.0, "end": 1.0}),
        ],
    )
    def test_bad_input_leaves_nothing(
        self, clip: Path, tmp_path: Path, error: type[RtstyleError], options: dict[str, Any]
    ) -> None:
        source = tmp_path / options.pop("source", clip)
        output = tmp_path / options.pop("output", "out.mp4")
        with pytest.raises(error):
            paint(source, output, options.pop("style", "identity"), **options)
        assert names(tmp_path) == ["in"]


class TestCommand:
    def test_one_video(
        self, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert command(clip, tmp_path / "out.mp4", "--style", "invert", "--end", "0:00.4") == 0
        said = capsys.readouterr().out
        assert "out.mp4: 10 frames" in said
        assert "FPS, 96x64" in said
        assert len(decode(tmp_path / "out.mp4")) == 10

    def test_a_folder_with_a_bad_video(
        self, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (clip.parent / "bad.mkv").write_bytes(b"no video")
        write_clip(clip.parent / "clip.avi", frames=3, codec="mpeg4", options={})
        assert command(clip.parent, tmp_path / "out", "--style", "identity") == 2
        said = capsys.readouterr()
        assert "1 of 3 videos failed, 2 are done" in said.err
        assert "bad.mkv" in said.err
        assert names(tmp_path / "out") == ["clip.mp4", "clip_avi.mp4"]
        assert len(decode(tmp_path / "out" / "clip.mp4")) == 20
        assert len(decode(tmp_path / "out" / "clip_avi.mp4")) == 3

    def test_the_mask_of_a_run_is_not_its_output(
        self, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        mask = write_clip(tmp_path / "mask.mp4", frames=20)
        before = mask.read_bytes()
        words = ("--style", "identity", "--style", "invert", "--mask", mask, "--overwrite")
        assert command(clip, mask, *words) == 2
        assert "is read here" in capsys.readouterr().err
        assert mask.read_bytes() == before

    @pytest.mark.parametrize("mask", ["ms", "ms/%d.png", "ms/*.png"])
    def test_mask_pictures_are_not_the_output(
        self, clip: Path, tmp_path: Path, mask: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "ms").mkdir()
        for number in (1, 2, 3):
            Pil.fromarray(picture(96, 64, 8)).save(tmp_path / "ms" / f"{number}.png")
        before = {path: path.read_bytes() for path in (tmp_path / "ms").iterdir()}
        words = ("--mask", tmp_path / mask, "--overwrite")
        assert command(clip, tmp_path / "ms" / "%d.png", *words) == 2
        assert "is read here" in capsys.readouterr().err
        assert {path: path.read_bytes() for path in (tmp_path / "ms").iterdir()} == before
        # Elsewhere they serve, a glob as well.
        assert command(clip, tmp_path / "out.mp4", *words) == 0

    def test_several_videos_need_a_folder_that_is_named_like_one(
        self, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = write_clip(tmp_path / "other.mkv", frames=3)
        assert command(clip, other, tmp_path / "out.mp4") == 2
        assert "out.mp4 names one file" in capsys.readouterr().err
        assert not (tmp_path / "out.mp4").exists()

    @pytest.mark.parametrize(
        ("text", "rate"),
        [
            ("0.1", Fraction(1, 10)),
            (None, 25),
            ("24", 24),
            ("23.976", Fraction("23.976")),
            ("30000/1001", Fraction(30000, 1001)),
        ],
    )
    def test_the_rate_of_numbered_pictures(
        self, tmp_path: Path, text: str | None, rate: Fraction
    ) -> None:
        for i in range(6):
            Pil.fromarray(picture(96, 64, i)).save(tmp_path / f"in_{i}.png")
        given = ["--fps", text] if text else []
        assert command(tmp_path / "in_%d.png", tmp_path / "out.mkv", *given) == 0
        frames = decode(tmp_path / "out.mkv")
        # Matroska counts milliseconds.
        assert [f.time for f in frames] == pytest.approx(
            [float(i / rate) for i in range(6)], abs=6e-4
        )

    @pytest.mark.parametrize("text", ["0", "-1", "fast", "nan", "1e9", "1/0", "0.001"])
    def test_a_rate_that_is_none(
        self, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert command(tmp_path, tmp_path / "out.mkv", f"--fps={text}") == 2
        assert f"--fps {text} is not a rate" in capsys.readouterr().err

    def test_a_video_has_its_own_rate(
        self, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert command(clip, tmp_path / "out.mkv", "--fps", 24) == 2
        assert "time stamps of its own" in capsys.readouterr().err
        assert not (tmp_path / "out.mkv").exists()

    def test_a_painting_of_a_sweep_is_not_the_output(
        self, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        first = tmp_path / "p_00001.png"
        Pil.fromarray(picture(64, 48, 0)).save(first)
        before = first.read_bytes()
        words = ("--style-sweep", f"{first}..{first}", "--overwrite")
        assert command(clip, tmp_path / "p_%05d.png", *words) == 2
        assert "is read here" in capsys.readouterr().err
        assert first.read_bytes() == before

    def test_hidden_files_of_a_folder_are_no_videos(self, clip: Path, tmp_path: Path) -> None:
        for name in ("._clip.mp4", ".clip.abcd1234.tmp.mp4"):
            (clip.parent / name).write_bytes(b"no video")
        (clip.parent / "folder.mp4").mkdir()
        assert command(clip.parent, tmp_path / "out", "--style", "identity") == 0
        assert names(tmp_path / "out") == ["clip.mp4"]

    def test_what_the_system_refuses_does_not_cost_the_others(
        self,
        clip: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        from rtstyle.jobs import outputs, video

        check = outputs.check_output

        def refuse(source: Path, *others: Any) -> None:
            if source.name == "a.mp4":
                raise PermissionError(13, "Permission denied", str(source))
            check(source, *others)

        monkeypatch.setattr(video, "check_output", refuse)
        write_clip(clip.parent / "a.mp4", frames=2)
        assert command(clip.parent, tmp_path / "out", "--style", "identity") == 2
        assert "Permission denied" in capsys.readouterr().err
        assert names(tmp_path / "out") == ["clip.mp4"]

    @pytest.mark.parametrize("number", [n for n in ENDING if n != signal.SIGINT])
    def test_a_signal_while_the_model_is_loaded_leaves_nothing(
        self, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
    ) -> None:
        def interrupt(*_: object, **__: object) -> None:
            assert names(tmp_path) != ["in"]
            signal.raise_signal(number)

        def miss(*_: object) -> None:
            raise AssertionError("The signal was not caught.")

        monkeypatch.setattr("rtstyle.jobs.video.open_stylizer", interrupt)
        before = signal.signal(number, miss)
        try:
            assert command(clip, tmp_path / "out.mp4") == 128 + number
            assert signal.getsignal(number) is miss
        finally:
            signal.signal(number, before)
        assert names(tmp_path) == ["in"]

    def test_equal_names_are_refused(self, clip: Path, tmp_path: Path) -> None:
        (tmp_path / "b").mkdir()
        other = write_clip(tmp_path / "b" / "clip.mp4", frames=2)
        assert command(clip, other, tmp_path / "out", "--style", "identity") == 2
        assert not (tmp_path / "out").exists()

    def test_several_inputs(self, clip: Path, tmp_path: Path) -> None:
        other = write_clip(tmp_path / "other.webm", frames=3, codec="libvpx-vp9", options={})
        assert command(clip, other, tmp_path / "out", "--style", "identity") == 0
        assert names(tmp_path / "out") == ["clip.mp4", "other.webm"]

    def test_an_existing_output_needs_a_word(
        self, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        output = tmp_path / "out.mp4"
        output.write_bytes(b"old")
        assert command(clip, output, "--style", "identity") == 2
        assert "--overwrite" in capsys.readouterr().err
        assert output.read_bytes() == b"old"
        assert command(clip, output, "--style", "identity", "--overwrite") == 0

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--start", "x"], "--start x is not a time"),
            (["--end", "1:99"], "--end 1:99 is not a time"),
            (["--style", "mosiac"], "mosaic"),
            (["--encoder", "nonsense", "--style", "identity"], "nonsense"),
            (["--size", "huge"], "huge"),
            (["o" * 300 + ".mp4"], "ooo"),
            (["a_%d_%d.png"], "cannot number"),
        ],
    )
    def test_bad_options_are_one_line(
        self,
        clip: Path,
        tmp_path: Path,
        words: list[str],
        message: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        output = tmp_path / ("out.mp4" if words[0].startswith("--") else words.pop(0))
        assert command(clip, output, *words) == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
        assert names(tmp_path) == ["in"]

    def test_a_single_path_is_not_enough(self, clip: Path) -> None:
        assert command(clip) == 2

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        assert command(tmp_path / "empty", tmp_path / "out") != 0

    def test_ctrl_c_says_where_the_part_is(
        self,
        clip: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        from rtstyle.commands.progress import Bar

        def interrupt(self: Bar, status: Progress) -> None:
            if status.frames_out == 4:
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(Bar, "__call__", interrupt)
        assert command(clip, tmp_path / "out.mp4", "--style", "identity") == 130
        assert "out.partial.mp4: 4 frames" in capsys.readouterr().out
        assert len(decode(tmp_path / "out.partial.mp4")) == 4


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("12.5", 12.5), ("90", 90), ("2:03", 123), ("1:02:03.5", 3723.5), (" 7 ", 7)],
)
def test_times(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "-1", "1:2:3:4", "1:60", "1:-2", "nan", "1e3", "1::2"])
def test_no_times(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}$"):
        parse_time(text)


def test_sizes_for_people() -> None:
    sizes = [human_size(n) for n in (-1, 999, 340_400, 4_240_000, 1_300_000_000)]
    assert sizes == ["0 kB", "1 kB", "340 kB", "4.2 MB", "1.30 GB"]


def test_the_bundled_clip(data: Path, tmp_path: Path) -> None:
    source = data / "video" / "bigbuckbunny.mp4"
    report = paint(source, tmp_path / "out.mp4", height=90)
    assert report.frames == 132
    assert packets(tmp_path / "out.mp4", "audio") == packets(source, "audio")
