from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from rtstyle.errors import EngineError
from rtstyle.live import person
from rtstyle.live.look import Look
from rtstyle.live.person import MODEL, PersonSegmenter
from rtstyle.sources.video_file import VideoFileSource

# Outline of the man in people_c6809cf3.jpg, in thousandths of its width and height, by hand.
OUTLINE = [
    *((0, 1000), (0, 856), (100, 833), (200, 806), (294, 767), (250, 667), (239, 611), (206, 600)),
    *((178, 522), (183, 433), (172, 344), (172, 278), (200, 222), (256, 172), (356, 133)),
    *((444, 111), (522, 106), (622, 122), (700, 161), (778, 211), (833, 278), (867, 344)),
    *((861, 422), (856, 444), (850, 522), (833, 611), (794, 617), (767, 700), (761, 739)),
    *((867, 767), (1000, 817), (1000, 1000)),
]


def read(path: Path) -> Any:
    image = cv2.imread(str(path))
    assert image is not None
    return np.ascontiguousarray(image[..., ::-1])


@pytest.fixture
def photo(data: Path) -> Any:
    return read(data / "content" / "val" / "people_c6809cf3.jpg")


def outline(height: int, width: int) -> Any:
    points = np.array(OUTLINE, np.float64) * [width / 1000, height / 1000]
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [points.astype(np.int32)], 1)
    return mask.astype(bool)


def overlap(a: Any, b: Any) -> float:
    return float((a & b).sum() / (a | b).sum())


class TestPhotos:
    @pytest.mark.parametrize("size", [(227, 227), (640, 480), (1280, 720), (97, 63)])
    def test_a_man_is_found(self, photo: Any, size: tuple[int, int]) -> None:
        mask = PersonSegmenter()(np.asarray(cv2.resize(photo, size), np.uint8))
        assert mask.shape == (size[1], size[0])
        assert mask.dtype == np.uint8
        assert overlap(mask > 127, outline(size[1], size[0])) > 0.93

    def test_edges_are_soft_and_all_else_is_sure(self, photo: Any) -> None:
        mask = PersonSegmenter()(np.asarray(cv2.resize(photo, (640, 480)), np.uint8))
        between = ((mask > 0) & (mask < 255)).mean()
        assert 0.005 < between < 0.12

    @pytest.mark.parametrize("name", ["bsds_0b03d60b", "bsds_9c61299b", "coco_ca88e3ff"])
    def test_a_picture_of_no_one(self, data: Path, name: str) -> None:
        mask = PersonSegmenter()(read(data / "content" / "val" / f"{name}.jpg"))
        assert (mask > 127).mean() < 0.05

    def test_only_the_background_is_painted(self, photo: Any) -> None:
        behind = 255 - PersonSegmenter()(photo)
        mixed = Look(only="background").finish(photo, np.zeros_like(photo), behind)
        inside = cv2.erode(outline(227, 227).astype(np.uint8), np.ones((15, 15))).astype(bool)
        outside = cv2.dilate(outline(227, 227).astype(np.uint8), np.ones((15, 15))) == 0
        assert np.abs(mixed[inside].astype(int) - photo[inside]).mean() < 2
        assert mixed[outside].mean() < 4


class TestOverTime:
    @pytest.mark.slow
    def test_it_flickers_less_than_without_smoothing(self, data: Path) -> None:
        smooth, rough = PersonSegmenter(), PersonSegmenter()
        change, pictures = {"smooth": 0.0, "rough": 0.0}, 0
        last: dict[str, Any] = {}
        with VideoFileSource(data / "video" / "foreman_352x288.264") as source:
            for frame, _ in zip(source, range(40), strict=False):
                rough.reset()
                for name, mask in (("smooth", smooth(frame.image)), ("rough", rough(frame.image))):
                    mask = mask.astype(np.float32)
                    change[name] += float(np.abs(mask - last.get(name, mask)).mean())
                    last[name] = mask
                pictures += 1
        assert pictures == 40
        assert change["smooth"] < 0.9 * change["rough"]
        assert overlap(last["smooth"] > 127, last["rough"] > 127) > 0.95

    def test_a_new_scene_starts_afresh(self, photo: Any) -> None:
        segmenter, black = PersonSegmenter(), np.zeros_like(photo)
        alone = PersonSegmenter()(photo)
        segmenter(black)
        assert np.array_equal(segmenter(photo), alone)

    def test_a_new_size_starts_afresh(self, photo: Any) -> None:
        segmenter = PersonSegmenter()
        segmenter(photo)
        small = np.asarray(cv2.resize(photo, (64, 64)), np.uint8)
        assert np.array_equal(segmenter(small), PersonSegmenter()(small))

    def test_masks_handed_out_are_not_changed_later(self, photo: Any) -> None:
        segmenter = PersonSegmenter(every=2)
        first = segmenter(photo)
        before = first.copy()
        for _ in range(3):
            segmenter(255 - photo)
        assert np.array_equal(first, before)


class CountingRequest:
    """Stands in for the network: every pixel gets the brightness of the picture."""

    def __init__(self) -> None:
        self.calls = 0

    def infer(self, feeds: dict[str, Any], **_: object) -> dict[str, Any]:
        self.calls += 1
        assert feeds["image"].shape == (1, person.ROWS, person.COLUMNS, 3)
        return {"mask": feeds["image"][..., 0].copy()}


def grey(level: int) -> Any:
    return np.full((48, 64, 3), level, np.uint8)


class TestWithoutTheNetwork:
    @pytest.fixture
    def made(self) -> tuple[PersonSegmenter, CountingRequest]:
        segmenter, request = PersonSegmenter(every=3), CountingRequest()
        segmenter._request = request
        return segmenter, request

    def test_the_network_runs_on_each_third_picture(
        self, made: tuple[PersonSegmenter, CountingRequest]
    ) -> None:
        segmenter, request = made
        levels = [int(segmenter(grey(level)).mean()) for level in (255, 250, 0, 255, 255, 255, 0)]
        assert request.calls == 3
        assert levels == [255, 255, 255, 255, 255, 255, 0]

    def test_unsure_answers_are_mixed_with_the_last(
        self, made: tuple[PersonSegmenter, CountingRequest]
    ) -> None:
        segmenter, _ = made
        segmenter.every = 1
        answers = []
        for level in (150, 128, 128, 240):
            segmenter(grey(level))
            assert segmenter._soft is not None
            answers.append(int(segmenter._soft[0, 0]))
        assert answers[0] == 150
        assert 140 < answers[1] < 150
        assert 128 < answers[2] < answers[1]
        assert answers[3] == 240


class TestModel:
    def test_its_origin_and_licence_are_written_in_it(self) -> None:
        model = onnx.load(MODEL)
        facts = {p.key: p.value for p in model.metadata_props}
        assert facts["license"] == "Apache-2.0"
        assert "MediaPipe" in facts["name"]
        assert len(facts["source_sha256"]) == 64
        assert (MODEL.parent / "LICENSE-mediapipe.txt").is_file()

    def test_a_missing_file_is_one_error(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(person, "MODEL", tmp_path / "gone.onnx")
        person._compile.cache_clear()
        with pytest.raises(EngineError, match=r"gone\.onnx.*Install rtstyle again"):
            PersonSegmenter()(grey(0))

    def test_a_damaged_file_is_one_error(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "bad.onnx").write_bytes(b"no network")
        monkeypatch.setattr(person, "MODEL", tmp_path / "bad.onnx")
        person._compile.cache_clear()
        with pytest.raises(EngineError, match="People cannot be separated"):
            PersonSegmenter()(grey(0))

    def test_many_at_once_share_the_network(self) -> None:
        person._compile.cache_clear()
        masks: list[Any] = []

        def work() -> None:
            with PersonSegmenter() as segmenter:
                masks.append(segmenter(grey(128)))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(masks) == 4
        assert all(np.array_equal(mask, masks[0]) for mask in masks)
        assert person._compile.cache_info().misses == 1
