"""Networks that see a canvas: their parts, their training, their files and the way back."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from helpers.console import rtstyle  # noqa: E402
from helpers.training import write_place  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from rtstyle.engines import open_engine  # noqa: E402
from rtstyle.errors import TrainingError  # noqa: E402
from rtstyle_export.export.johnson import export_styles  # noqa: E402
from rtstyle_export.maths.losses import CanvasLossSpec  # noqa: E402
from rtstyle_export.maths.soap import Soap  # noqa: E402
from rtstyle_export.maths.soap_group import GroupedSoap  # noqa: E402
from rtstyle_export.networks.canvas import (  # noqa: E402
    CANVAS_SIZES,
    MOST,
    NOISE_SIDE,
    SPECS,
    CanvasNet,
    fixed_noise,
)
from rtstyle_export.networks.canvas_body import CanvasSpec, repeat_edges  # noqa: E402
from rtstyle_export.networks.johnson import build_network  # noqa: E402
from rtstyle_export.onnx_files.canvas import FoldedCanvasNet  # noqa: E402
from rtstyle_export.onnx_files.writer import on_bytes  # noqa: E402
from rtstyle_export.runs.checkpoint import Checkpoint, initial_weights  # noqa: E402
from rtstyle_export.runs.config import CanvasConfig, TrainConfig  # noqa: E402
from rtstyle_export.runs.onnx_reader import checkpoint_of  # noqa: E402
from rtstyle_export.train.canvas.motion import (  # noqa: E402
    RESET,
    SCENES,
    STILLS,
    Director,
    Scenes,
    blocks,
    compressed,
    dct_matrix,
    grid_of,
    sample,
    soften,
    views,
)
from rtstyle_export.train.canvas.trainer import CanvasTrainer  # noqa: E402
from rtstyle_export.train.pool import photo_pool  # noqa: E402

SMALL = CanvasSpec(stem=8, body=16, blocks=1, stride=4, gate=4, noise=0)
DEEP = CanvasSpec(stem=8, middle=8, body=16, blocks=1, gate=4)
BOTH = pytest.mark.parametrize("spec", [SMALL, DEEP], ids=["quarter", "eighth"])
SHALLOW = CanvasLossSpec(
    content_layers={"relu2_2": 1.0},
    style_layers={"relu1_2": 0.5, "relu2_2": 0.5},
)


def net_of(spec: CanvasSpec = SMALL, styles: int = 1) -> CanvasNet:
    torch.manual_seed(3)
    return CanvasNet(spec, styles).eval().requires_grad_(False)


def inputs(height: int, width: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    photo, canvas = torch.rand(2, 1, 3, height, width, generator=generator) * 2 - 1
    return photo, canvas, torch.zeros(1, 1, -(-height // 2), -(-width // 2))


@BOTH
@pytest.mark.parametrize("size", [(16, 16), (48, 70), (61, 33)])
def test_pictures_of_any_size_keep_it(size: tuple[int, int], spec: CanvasSpec) -> None:
    painted, gate = net_of(spec)(*inputs(*size))
    assert painted.shape == (1, 3, *size)
    assert gate.shape == (1, 1, *size)


@BOTH
def test_without_trust_nothing_of_the_canvas_shows_but_a_thousandth(spec: CanvasSpec) -> None:
    photo, canvas, none = inputs(40, 48)
    _, shut = net_of(spec)(photo, canvas, none)
    _, open_ = net_of(spec)(photo, canvas, torch.ones_like(none))
    assert float(shut.max()) < 0.0015
    assert float(open_.mean()) > 0.02


@BOTH
def test_the_gate_can_be_made_to_trust_more_or_less(spec: CanvasSpec) -> None:
    photo, canvas, none = inputs(40, 48)
    gates = []
    for factor in (0.8, 1.0, 1.25):
        net = net_of(spec)
        net.trust_more(factor)
        gates.append([net(photo, canvas, trust)[1] for trust in (none, torch.ones_like(none))])
    (shut, less), (still_shut, learnt), (_, more) = gates
    torch.testing.assert_close(shut, still_shut)
    assert float(less.mean()) < float(learnt.mean()) < float(more.mean())
    net.trust_more(100)
    assert float(net(photo, canvas, torch.ones_like(none))[1].max()) == pytest.approx(MOST)


@BOTH
def test_a_flat_picture_stays_flat_but_for_the_noise(spec: CanvasSpec) -> None:
    net = net_of(spec)
    if spec.noise:
        net.body.noise.weight.zero_()
    photo = torch.full((1, 3, 56, 64), 0.3)
    painted, _ = net(photo, torch.zeros_like(photo), torch.zeros(1, 1, 28, 32))
    assert float((painted.amax((2, 3)) - painted.amin((2, 3))).max()) < 1e-4


def test_noise_breaks_a_flat_picture_and_repeats_beyond_its_tile() -> None:
    photo = torch.full((1, 3, 56, 64), 0.3)
    painted, _ = net_of(DEEP)(photo, torch.zeros_like(photo), torch.zeros(1, 1, 28, 32))
    assert float(painted.std(dim=(2, 3)).max()) > 1e-3
    wide = fixed_noise(2, 10, NOISE_SIDE + 7)
    assert torch.equal(wide[..., :7], wide[..., NOISE_SIDE:])


@pytest.mark.parametrize("size", CANVAS_SIZES)
def test_a_network_begins_as_one_that_sees_no_canvas_paints(size: str) -> None:
    torch.manual_seed(5)
    plain = build_network(size, 2)
    old = Checkpoint(
        TrainConfig(styles=("a", "b"), paintings=("a", "b"), size=size),
        7, plain.state_dict(), None, 0.0, {},
    )  # fmt: skip
    config = CanvasConfig(styles=("b", "c"), paintings=("b", "c"), size=size)
    net = CanvasNet(SPECS[size, "quarter"], 2)
    net.load_state_dict(initial_weights(old, config))
    photo, canvas, none = inputs(51, 62)
    with torch.no_grad():
        wanted = plain.eval()(photo, torch.tensor([1]))
        found, gate = net.eval()(photo, 0 * canvas, none, torch.tensor([0]))
    # All but a thousandth, which the gate lets through of an empty canvas.
    torch.testing.assert_close(found, wanted * (1 - gate), rtol=1e-3, atol=1e-4)
    # And the other way about: what the network would paint without a canvas.
    with torch.no_grad():
        net.known.bias.add_(0.1 * torch.rand(len(net.known.bias)))
        wanted, gate = net(photo, 0 * canvas, none, torch.tensor([0]))
    seeing = Checkpoint(config, 7, net.state_dict(), None, 0.0, {})
    back = TrainConfig(styles=("b",), paintings=("b",), size=size)
    plain = build_network(size, 1)
    plain.load_state_dict(initial_weights(seeing, back))
    with torch.no_grad():
        found = plain.eval()(photo) * (1 - gate)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)
    other = CanvasConfig(styles=("b",), paintings=("b",), size=size, body="eighth")
    with pytest.raises(TrainingError, match="Cannot start"):
        initial_weights(old, other)


def test_edges_are_repeated_alike_in_training_and_after_it() -> None:
    x = torch.randn(2, 3, 5, 4)
    assert torch.equal(repeat_edges(x, training=True), repeat_edges(x, training=False))


def test_styles_in_turn_are_painted_as_one_by_one() -> None:
    net = net_of(styles=2)
    with torch.no_grad():
        net.out.weight[1] *= -1
    photo = torch.rand(4, 3, 32, 32) * 2 - 1
    style, trust = torch.tensor([0, 0, 1, 1]), torch.rand(4, 1, 16, 16)
    with torch.no_grad():
        plain, _ = net(photo, photo.flip(0), trust, style)
        net.set_in_turn(True)
        quick, _ = net(photo, photo.flip(0), trust, style)
    torch.testing.assert_close(plain, quick, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SPECS, ids="-".join)
@pytest.mark.parametrize("size", [(64, 72), (51, 83)])
def test_the_exported_form_is_the_same_function(
    name: tuple[str, str], size: tuple[int, int]
) -> None:
    net = net_of(SPECS[name])
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)

    half = -(-size[0] // 2), -(-size[1] // 2)
    given = draw(1, *size, 3), draw(1, *size, 3), draw(1, *half, 1)
    with torch.no_grad():
        wanted, found = on_bytes(net)(*given), FoldedCanvasNet(net).eval()(*given)
    assert int((wanted.int() - found.int()).abs().max()) <= 1


def test_grouped_soap_moves_as_soap_does() -> None:
    shapes = [(8, 4, 3, 3), (8, 4, 3, 3), (32, 8, 1, 1)]
    start = [torch.randn(shape) for shape in shapes]
    one = [torch.nn.Parameter(value.clone()) for value in start]
    two = [torch.nn.Parameter(value.clone()) for value in start]
    plain, grouped = Soap(one, lr=0.01), GroupedSoap(two)
    grouped.lr.fill_(0.01)
    generator = torch.Generator().manual_seed(2)
    for step in range(11):
        for a, b in zip(one, two, strict=True):
            a.grad = torch.randn(a.shape, generator=generator)
            b.grad = a.grad.clone()
        plain.step()
        if grouped.begun:
            grouped.step()
        else:
            grouped.begin()
        if step == 8:
            grouped.renew()
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_grouped_soap_is_adam_for_vectors() -> None:
    one, two = (torch.nn.Parameter(torch.ones(7)) for _ in range(2))
    # In its own basis, which Soap keeps where a dimension has more than `largest` entries.
    plain, grouped = Soap([one], lr=0.01, largest=1), GroupedSoap([two])
    grouped.lr.fill_(0.01)
    generator = torch.Generator().manual_seed(2)
    for _ in range(6):
        one.grad = torch.randn(7, generator=generator)
        two.grad = one.grad.clone()
        plain.step()
        if grouped.begun:
            grouped.step()
        else:
            grouped.begin()
    torch.testing.assert_close(one, two)


def test_grouped_soap_resumes_from_its_state() -> None:
    def run(steps: range, state: dict[str, object] | None, value: torch.Tensor) -> GroupedSoap:
        parameter = torch.nn.Parameter(value)
        optimizer = GroupedSoap([parameter])
        optimizer.lr.fill_(0.01)
        if state is not None:
            optimizer.load_state_dict(state)
        for step in steps:
            parameter.grad = torch.randn(value.shape, generator=torch.Generator().manual_seed(step))
            if optimizer.begun:
                optimizer.step()
            else:
                optimizer.begin()
        return optimizer

    start = torch.ones(8, 8, 3, 3)
    whole = run(range(6), None, start.clone())
    part = run(range(3), None, start.clone())
    rest = run(range(3, 6), part.state_dict(), part.groups[0].parameters[0].detach().clone())
    torch.testing.assert_close(
        whole.groups[0].parameters[0].detach(), rest.groups[0].parameters[0].detach()
    )


def test_a_motion_carries_a_frame_onto_the_next_one() -> None:
    """What the network is told of the last painting lies just where the photo moved."""
    photo = F.interpolate(torch.rand(1, 3, 12, 12), (128, 128), mode="bicubic") * 2 - 1
    director = Director(1, 1, 128, 64, 0, seed=5)
    before, compared = None, 0
    for _ in range(40):
        draw = director.draw()
        drawn = views(torch.from_numpy(draw.flat()), 1)
        frame = sample(photo, grid_of(drawn["view"], 64))
        if before is not None and not draw.reset[0]:
            moved = sample(before, grid_of(drawn["step"], 64))
            error = (moved - frame)[:, :, 16:-16, 16:-16].abs().mean()
            assert float(error) < 0.01
            compared += 1
        before = frame
    assert compared > 10


def test_a_run_begins_with_stills_and_goes_on_with_scenes_that_take_turns() -> None:
    scenes = Scenes(1, 3, 128, 64, 0, seed=1)
    scenes.pace(0.1, 0.5)
    assert all(scenes.draw().reset.all() and scenes.now == 0 for _ in range(20))
    scenes.pace(0.9, 0.5)
    picked, begun = [], []
    for _ in range(900):
        draw = scenes.draw()
        picked.append(scenes.now)
        if scenes.now:
            begun.append(float(draw.reset.mean()))
    assert set(picked) == set(range(SCENES + 1))
    assert math.isclose(picked.count(0) / 900, STILLS, abs_tol=0.05)
    # Some begin because their view has left the photo.
    assert RESET / 2 < np.mean(begun) < 4 * RESET
    assert not np.array_equal(*(director.draw().view for director in scenes.directors[1:3]))


def test_each_scene_goes_on_with_its_own_painting(tmp_path: Path) -> None:
    stepper = trainer_of(write_place(tmp_path), tmp_path / "run").stepper
    stepper.scenes.pace(1.0, 0.5)
    painted: dict[int, torch.Tensor] = {}
    seen = set()
    for _ in range(14):
        stepper.load_draw()
        scene = stepper.scenes.now
        if scene in painted:
            assert torch.equal(stepper.painted, painted[scene])
            seen.add(scene)
        stepper.painted.copy_(torch.rand_like(stepper.painted))
        stepper.scenes.keep(stepper.painted, stepper.noise)
        painted[scene] = stepper.painted.clone()
    assert len(seen) > 2


def test_nothing_asks_to_keep_strokes_that_are_worn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The canvas differs from the painting that was moved along only where it need not be kept."""
    stepper = trainer_of(write_place(tmp_path), tmp_path / "run").stepper
    stepper.painted.copy_(torch.rand_like(stepper.painted) * 2 - 1)
    stepper.drawn["reset"].zero_()
    stepper.drawn["view"].copy_(torch.eye(3)[:2])
    stepper.drawn["step"].copy_(torch.eye(3)[:2])
    stepper.drawn["flow_error"].zero_()
    monkeypatch.setattr(torch.Tensor, "roll", lambda x, *_: x)
    for wear in (0.0, 8.0):
        stepper.drawn["wear"].fill_(wear)
        given = stepper.prepare()
        bent = ((given["canvas"] - given["exact"]).abs().amax(1, keepdim=True) > 1e-4).float()
        known = (F.interpolate(given["trust"], scale_factor=2.0) > 0).float()
        assert float((bent * given["kept"]).sum()) == 0
        assert (float((bent * known).mean()) > 0.1) == (wear > 0)


def test_draws_are_a_function_of_the_seed() -> None:
    rows = [
        np.stack([director.draw().flat() for _ in range(3)])
        for director in (Director(2, 9, 128, 64, 8, 7), Director(2, 9, 128, 64, 8, 7))
    ]
    np.testing.assert_array_equal(*rows)


def test_the_dct_is_orthonormal_and_blocks_round_by_it() -> None:
    basis = dct_matrix()
    torch.testing.assert_close(basis @ basis.T, torch.eye(8))
    image = torch.rand(2, 3, 16, 24) * 2 - 1
    found = blocks(image, torch.tensor([0.0, 0.2]), basis)
    torch.testing.assert_close(found[0], image[0])
    tile = basis @ found[1, 0, :8, :8] @ basis.T
    steps = tile / (2 * 0.2 * (1 + 0.6 * (torch.arange(8)[:, None] + torch.arange(8))))
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-4)


def test_what_was_compressed_at_half_the_size_has_soft_blocks_of_sixteen_pixels() -> None:
    basis = dct_matrix()
    ramp = (torch.arange(336) / 500 - 0.3).expand(3, 3, 336, 336)
    damage = torch.tensor([[0.0, 0.0, 1.0], [0.2, 0.0, 0.0], [0.2, 0.0, 1.0]])
    whole, small, large = compressed(ramp, damage, basis)
    torch.testing.assert_close(whole, ramp[0])
    torch.testing.assert_close(small, blocks(ramp[:1], damage[1:2, 0], basis)[0])
    half = blocks(ramp[:1, :, ::2, ::2] + 0.001, damage[2:, 0], basis)[0, 0, 4]
    # An enlarged pixel lies between two, three quarters of it the nearer one.
    torch.testing.assert_close(large[0, 9, 2::2], half[1:] * 0.75 + half[:-1] * 0.25)
    # Where no square fits, at the border, none is left out.
    assert compressed(ramp[..., :328], damage, basis).shape == (3, 3, 336, 328)


def test_softening_keeps_the_mean_and_takes_detail() -> None:
    image = torch.rand(1, 3, 32, 32)
    soft = soften(image, torch.ones(1))
    assert abs(float(soft.mean() - image.mean())) < 0.01
    assert float(soft.std()) < 0.7 * float(image.std())


def test_a_pool_holds_squares_of_every_photo(tmp_path: Path) -> None:
    place = write_place(tmp_path)
    (place / "photos" / "broken.png").write_bytes(b"no picture")
    paths = sorted((place / "photos").iterdir())
    pool = photo_pool(paths, 96)
    assert pool.shape == (3, 3, 96, 96)
    assert pool.dtype is torch.uint8
    with pytest.raises(TrainingError, match="can be read"):
        photo_pool([place / "photos" / "broken.png"], 96)


def config_of(place: Path, **options: object) -> CanvasConfig:
    return CanvasConfig(
        styles=("squares",),
        paintings=(str(place / "painting.png"),),
        crop=64,
        margin=8,
        style_size=64,
        loss=SHALLOW,
        **{"steps": 12, "size": "fast", "batch": 2, **options},  # type: ignore[arg-type]
    )


def trainer_of(place: Path, folder: Path, **options: object) -> CanvasTrainer:
    return CanvasTrainer(
        config_of(place, **options),
        place / "photos",
        folder,
        vgg_weights=place / "vgg16.safetensors",
    )


@pytest.mark.slow
def test_training_lowers_its_objective_and_resumes(tmp_path: Path) -> None:
    place = write_place(tmp_path)
    run = trainer_of(place, tmp_path / "run", steps=70)
    totals: list[float] = []
    assert not run.run(
        lambda progress: totals.append(progress.losses["total"]), lambda: len(totals) >= 60
    )
    assert np.mean(totals[-20:]) < 0.75 * np.mean(totals[:3])
    again = trainer_of(place, tmp_path / "run", steps=70)
    assert again.step == 60
    for key, value in run.weights().items():
        assert torch.equal(value, again.weights()[key])
    assert again.optimizer.begun
    assert again.run()
    assert again.step == 70


def test_a_run_of_minutes_ends_after_them(tmp_path: Path) -> None:
    place = write_place(tmp_path)
    run = trainer_of(place, tmp_path / "run", minutes=1.0)
    taken = []

    def on_step(progress: object) -> None:
        taken.append(progress)
        run.seconds = 61.0 if len(taken) == 2 else run.seconds

    assert run.run(on_step)  # type: ignore[arg-type]
    assert len(taken) == 2
    assert math.isclose(run.done, 61 / 60, rel_tol=0.5)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"size": "paper"}, "the size fast or balanced"),
        ({"styles": ("a", "b", "c"), "paintings": ("a", "b", "c")}, "multiple of the number"),
        ({"optimizer": "adam"}, "trained with soap"),
        ({"crop": 68}, "multiples of 8"),
        ({"minutes": -1.0}, "minutes"),
        ({"body": "half"}, "quarter or eighth"),
        ({"stills": 1.5}, "stills must lie"),
    ],
)
def test_options_that_do_not_work_are_named(options: dict[str, object], why: str) -> None:
    base = {"styles": ("a",), "paintings": ("a.png",)}
    with pytest.raises(TrainingError, match=why):
        CanvasConfig(**{**base, **options}).check()  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_file_paints_as_its_network_and_is_read_back(tmp_path: Path) -> None:
    place = write_place(tmp_path)
    run = trainer_of(place, tmp_path / "run", steps=3)
    assert run.run()
    (item,) = export_styles(Checkpoint.load(run.path), tmp_path / "files")
    assert item.parity.holds
    assert item.path.name == "squares-fast.onnx"
    back = checkpoint_of(item.path)
    assert isinstance(back.config, CanvasConfig)
    net = run.net.eval()
    other = CanvasNet(SPECS["fast", "quarter"])
    other.load_state_dict(back.model)
    other.eval()
    photo, canvas, trust = inputs(48, 64)
    with torch.no_grad():
        wanted = net(photo, canvas, trust + 0.7)[0]
        found = other(photo, canvas, trust + 0.7)[0]
    # Kernels are stored in 8 bits and half precision.
    assert float((wanted - found).abs().mean()) < 0.02


@pytest.mark.slow
def test_a_file_runs_on_every_engine_of_this_machine(tmp_path: Path) -> None:
    place = write_place(tmp_path)
    run = trainer_of(place, tmp_path / "run", steps=2)
    run.run()
    (item,) = export_styles(Checkpoint.load(run.path), tmp_path / "files")
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, 50, 66, 3), dtype=np.uint8)
    extra = {"canvas": image[:, ::-1].copy(), "trust": np.full((1, 25, 33, 1), 255, np.uint8)}
    pictures = []
    for device in ("openvino:cpu", "onnxruntime:cpu"):
        with open_engine(item.path, device, precision="fp32") as engine:
            assert set(engine.extras) == {"canvas", "trust"}
            pictures.append(engine.run(image, extra).astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


@pytest.mark.slow
def test_the_command_trains_with_a_canvas_and_says_what_does_not_go_together(
    tmp_path: Path,
) -> None:
    place = write_place(tmp_path)
    words = [
        "train", str(place / "painting.png"), str(place / "photos"), "--canvas",
        "--name", "squares",
        "--out", str(tmp_path / "run"), "--steps", "2", "--crop", "64", "--margin", "8",
        "--style-size", "64", "--vgg-weights", str(place / "vgg16.safetensors"), "--no-add",
        "--size", "fast", "--init-from", "none",
        "--content-layers", "relu2_2", "--style-layers", "relu1_2,relu2_2",
    ]  # fmt: skip
    done = rtstyle(*words)
    assert done.code == 0, done.output
    assert (tmp_path / "run" / "checkpoint.pt").is_file()
    refused = rtstyle(*words[:-4], "--stability-weight", "3")
    assert "--coherence-weight" in str(refused.error)
