"""Optimisation of a picture against the written formulas, with a small random network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from helpers.training import vgg_state  # noqa: E402

from rtstyle.errors import UsageError  # noqa: E402
from rtstyle.media.color import Colours, match_colors  # noqa: E402
from rtstyle_export.data import to_tensor  # noqa: E402
from rtstyle_export.maths import functional  # noqa: E402
from rtstyle_export.maths.vgg import VGG  # noqa: E402
from rtstyle_export.offline import memory, pyramid, stored  # noqa: E402
from rtstyle_export.offline.gatys import Descent, Method, State, noise, to_image  # noqa: E402
from rtstyle_export.offline.johnson_bench import Line, measure  # noqa: E402
from rtstyle_export.offline.network import Network, check_layers, load_network  # noqa: E402
from rtstyle_export.offline.objective import GatysLoss, GatysSpec, Region, without_download  # noqa: E402
from rtstyle_export.offline.reconstruct import rows  # noqa: E402
from rtstyle_export.offline.reconstruct_job import lay_out  # noqa: E402
from rtstyle_export.offline.subject import Subject, cover  # noqa: E402

SPEC = GatysSpec({"conv2_1": 1.0}, {"conv1_1": 0.5, "relu2_1": 0.5}, style_weight=5.0)


def network(*layers: str, pooling: str = "average") -> Network:
    return Network(VGG("vgg19", layers or SPEC.layers, vgg_state()), pooling)


def picture(height: int = 32, width: int = 40, seed: int = 0) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return cover(np.kron(small, np.ones((10, 10, 1), np.uint8)), height, width)


def plain(image: torch.Tensor, *, pooling: str = "average") -> dict[str, torch.Tensor]:
    """The first layers of the network, written out."""
    state = vgg_state()
    x = (image + 1) * 127.5 - torch.tensor([123.68, 116.779, 103.939]).view(1, 3, 1, 1)
    found = {}
    for name, index in (("1_1", 0), ("1_2", 2), ("2_1", 5)):
        if name == "2_1":
            x = F.max_pool2d(x, 2) if pooling == "max" else F.avg_pool2d(x, 2)
            found["pool1"] = x
        weight, bias = state[f"features.{index}.weight"], state[f"features.{index}.bias"]
        x = F.conv2d(x, weight, bias, padding=1)
        found[f"conv{name}"] = x
        x = found[f"relu{name}"] = F.relu(x)
    return found


# ---- the network


def test_in_bf16_it_sees_nearly_the_same_and_is_read_in_float32() -> None:
    vgg = VGG("vgg19", SPEC.layers, vgg_state())
    image = torch.from_numpy(picture()).permute(2, 0, 1)[None] / 127.5 - 1
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        pixels = image.clone().requires_grad_(True)
        layers = Network(vgg, dtype=dtype)(pixels, dict.fromkeys(SPEC.layers, lambda x: x))
        assert all(value.dtype is torch.float32 for value in layers.values())
        layers["conv2_1"].square().mean().backward()
        found[dtype] = [*(value.detach() for value in layers.values()), pixels.grad]
    for exact, rounded in zip(*found.values(), strict=True):
        difference = float((rounded - exact).square().mean().sqrt() / exact.square().mean().sqrt())
        # bfloat16 keeps 8 bits of each number.
        assert 0 < difference < 0.02


def test_auto_is_bf16_where_the_cpu_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from rtstyle_export.offline import network as module

    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    for able, wanted in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(module, "cpu_has_bf16", lambda able=able: able)
        assert module.choose_type("auto", cpu) is wanted
        assert module.choose_type("auto", cuda) is torch.float32
        assert module.choose_type("bf16", cpu) is torch.bfloat16
        assert module.choose_type("fp32", None) is torch.float32
    with pytest.raises(UsageError, match="auto, fp32, bf16"):
        module.choose_type("fp8", cpu)


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("frugal", [False, True])
def test_layers_are_read_before_and_after_their_relu(pooling: str, frugal: bool) -> None:
    layers = ("conv1_1", "relu1_1", "relu1_2", "pool1", "conv2_1", "relu2_1")
    image = to_tensor(picture()).requires_grad_(True)
    net = network(*layers, pooling=pooling)
    found = net(image, dict.fromkeys(layers, lambda x: x * 1), frugal=frugal)
    want = plain(image.detach(), pooling=pooling)
    for layer in layers:
        torch.testing.assert_close(found[layer], want[layer], rtol=1e-3, atol=2e-2)
    (found["relu2_1"].sum() + found["conv1_1"].sum()).backward()
    assert image.grad is not None
    assert image.grad.abs().max() > 0


def test_frugal_gradients_are_the_same() -> None:
    image = to_tensor(picture())
    gradients = []
    for frugal in (False, True):
        loss = GatysLoss(network(), SPEC, image, [Region([(image.flip(2), 1.0)])], frugal=frugal)
        x = image.flip(3).clone().requires_grad_(True)
        loss(x)[0].backward()
        gradients.append(x.grad)
    torch.testing.assert_close(*gradients)


def test_unknown_layers_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no layer conv9_9.*conv4_2.*relu5_1"):
        check_layers(["conv1_1", "conv9_9"])


def test_means_are_those_of_absolute_activations_with_a_floor() -> None:
    images = [to_tensor(picture(seed=seed)) for seed in (0, 1)]
    found = network("conv1_1").means(images)["conv1_1"]
    want = torch.stack([plain(x)["conv1_1"].abs().mean(dim=(0, 2, 3)) for x in images]).mean(0)
    torch.testing.assert_close(found, want.clamp_min(0.05 * float(want.mean())))


# ---- the objective


def written_objective(
    spec: GatysSpec, image: torch.Tensor, photo: torch.Tensor, paintings: list, shares: list
) -> float:
    """Relative distances of normalised activations, by sums over positions."""
    sources = [painting for painting, _ in paintings] + [photo]
    total = 0.0
    found, wanted = plain(image), plain(photo)
    for layer, weight in spec.content_layers.items():
        means = torch.stack([plain(x)[layer].abs().mean(dim=(0, 2, 3)) for x in sources]).mean(0)
        scale = (1 / means.clamp_min(0.05 * float(means.mean()))).view(1, -1, 1, 1)
        f, p = found[layer] * scale, wanted[layer] * scale
        total += spec.content_weight * weight * float(((f - p) ** 2).sum() / (p**2).sum())
    for layer, weight in spec.style_layers.items():
        means = torch.stack([plain(x)[layer].abs().mean(dim=(0, 2, 3)) for x in sources]).mean(0)
        scale = (1 / means.clamp_min(0.05 * float(means.mean()))).view(1, -1, 1, 1)

        def gram(features: torch.Tensor, scale: torch.Tensor = scale) -> torch.Tensor:
            return torch.einsum("nihw,njhw->ij", features * scale, features * scale) / (
                features[0].numel()
            )

        target = sum(
            share * gram(plain(x)[layer]) for (x, _), share in zip(paintings, shares, strict=True)
        )
        distance = ((gram(found[layer]) - target) ** 2).sum() / (target**2).sum()
        total += spec.style_weight * weight * float(distance)
    return total


def test_objective_is_the_written_sum_for_mixed_styles() -> None:
    photo, image = to_tensor(picture()), to_tensor(picture(seed=3))
    paintings = [(to_tensor(picture(48, 36, seed=1)), 3.0), (to_tensor(picture(seed=2)), 1.0)]
    loss = GatysLoss(network(), SPEC, photo, [Region(paintings)])
    total, terms = loss(image)
    want = written_objective(SPEC, image, photo, paintings, [0.75, 0.25])
    want += SPEC.tv_weight * float(functional.total_variation(image))
    assert float(total) == pytest.approx(want, rel=1e-4)
    assert set(terms) == {"content", "style", "tv"}


def test_objective_of_the_photo_itself_has_no_content_term() -> None:
    photo = to_tensor(picture())
    terms = GatysLoss(network(), SPEC, photo, [Region([(photo, 1.0)])]).terms(photo)
    assert float(terms["content"]) == pytest.approx(0, abs=1e-9)
    assert float(terms["style"]) == pytest.approx(0, abs=1e-9)


def test_guided_gram_matrix_is_the_written_sum() -> None:
    features, guide = torch.randn(1, 3, 4, 5), torch.rand(4, 5)
    got = functional.guided_gram_matrix(features, guide)[0]
    squares = guide**2 / (guide**2).sum()
    want = torch.einsum("ihw,jhw,hw->ij", features[0], features[0], squares) / 3
    torch.testing.assert_close(got, want)
    whole = functional.guided_gram_matrix(features, torch.ones(4, 5))
    torch.testing.assert_close(whole, functional.gram_matrix(features))
    assert not functional.guided_gram_matrix(features, torch.zeros(4, 5)).any()


def test_regions_see_only_their_own_part() -> None:
    guide = torch.zeros(32, 40)
    guide[:, :20] = 1
    mix = [(to_tensor(picture(seed=1)), 1.0)]
    regions = [Region(mix, guide, 0.3), Region(mix, 1 - guide, 0.7)]
    spec = GatysSpec({}, {"conv1_1": 1.0}, content_weight=0.0, tv_weight=0.0)
    loss = GatysLoss(network("conv1_1"), spec, None, regions[:1])
    image = to_tensor(picture(seed=5)).requires_grad_(True)
    loss(image)[0].backward()
    assert image.grad is not None
    assert image.grad[..., :20].abs().max() > 0
    assert not image.grad[..., 22:].any()
    with torch.no_grad():
        both, first, second = (
            float(GatysLoss(network("conv1_1"), spec, None, chosen).terms(image)["style"])
            for chosen in (regions, regions[:1], regions[1:])
        )
    assert both == pytest.approx(first + second, rel=1e-4)


@pytest.mark.parametrize(
    ("form", "want"),
    [
        ("squared", lambda dy, dx: (dy**2).mean() + (dx**2).mean()),
        ("absolute", lambda dy, dx: dy.abs().mean() + dx.abs().mean()),
        ("power", lambda dy, dx: ((dy[..., :-1] ** 2 + dx[..., :-1, :] ** 2) ** 0.6).mean()),
    ],
)
def test_total_variation_in_its_forms(form: str, want: object) -> None:
    image = torch.randn(1, 3, 6, 7)
    dy, dx = image.diff(dim=2), image.diff(dim=3)
    found = GatysSpec(tv=form, gamma=1.2).variation(image)
    assert float(found) == pytest.approx(float(want(dy, dx)), rel=1e-4)  # type: ignore[operator]


def test_total_variation_of_a_flat_picture_has_a_gradient() -> None:
    image = torch.zeros(1, 3, 4, 4, requires_grad=True)
    functional.total_variation_power(image, 1.0).sum().backward()
    assert image.grad is not None
    assert bool(image.grad.isfinite().all())


@pytest.mark.parametrize(
    "options",
    [
        {"tv": "cubic"},
        {"pooling": "min"},
        {"gamma": 0.0},
        {"style_weight": -1.0},
        {"content_weight": 0.0, "style_weight": 0.0},
        {"content_layers": {"fc6": 1.0}},
    ],
)
def test_bad_objectives_are_refused(options: dict) -> None:
    with pytest.raises(UsageError):
        GatysSpec(**options)


# ---- the optimisation


def bowl(target: torch.Tensor) -> object:
    """A badly scaled quadratic whose lowest point is `target`."""
    scale = torch.linspace(1, 30, target.numel()).view_as(target)

    def objective(x: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
        return (scale * (x - target) ** 2).sum(), {"bowl": 1.0}

    return objective


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_descent_finds_the_lowest_point(optimizer: str) -> None:
    target = torch.rand(1, 3, 4, 4) - 0.5
    method = Method(optimizer, closures=400)
    descent = Descent(bowl(target), State.at(torch.zeros(1, 3, 4, 4)), method)  # type: ignore[arg-type]
    while not descent.done:
        descent.step()
    torch.testing.assert_close(descent.best, target, atol=2e-3, rtol=0)
    assert len(descent.values) <= 400
    assert descent.values == sorted(descent.values, reverse=True)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_resumed_descent_is_the_unbroken_one(optimizer: str) -> None:
    photo = to_tensor(picture())
    loss = GatysLoss(network(), SPEC, photo, [Region([(to_tensor(picture(seed=1)), 1.0)])])
    method = Method(optimizer, closures=9)

    def run(state: State, steps: int) -> Descent:
        descent = Descent(loss, state, method)
        for _ in range(steps):
            if not descent.done:
                descent.step()
        return descent

    whole = run(State.at(photo), 9)
    halved = run(run(State.at(photo), 3).state(), 6)
    assert halved.values == whole.values
    assert torch.equal(halved.best, whole.best)


def test_tolerance_ends_a_descent_that_gains_little() -> None:
    target = torch.zeros(1, 3, 4, 4)
    method = Method("adam", closures=500, tolerance=0.5, learning_rate=1e-5)
    descent = Descent(bowl(target), State.at(target + 1), method)  # type: ignore[arg-type]
    while not descent.done:
        descent.step()
    assert len(descent.values) == 11


def test_descent_at_the_lowest_point_ends() -> None:
    target = torch.zeros(1, 3, 4, 4)
    descent = Descent(bowl(target), State.at(target), Method(closures=5))  # type: ignore[arg-type]
    for _ in range(20):
        if descent.done:
            break
        descent.step()
    assert descent.done


@pytest.mark.parametrize(
    "options",
    [{"optimizer": "sgd"}, {"closures": 0}, {"tolerance": -1.0}, {"learning_rate": 0.0}],
)
def test_bad_methods_are_refused(options: dict) -> None:
    with pytest.raises(UsageError):
        Method(**options)


def test_noise_is_seeded() -> None:
    assert torch.equal(noise(4, 5, 7), noise(4, 5, 7))
    assert not torch.equal(noise(4, 5, 7), noise(4, 5, 8))


# ---- coarse to fine


def test_levels_halve_down_to_the_coarsest() -> None:
    assert pyramid.levels(1365, 2048) == [(170, 256), (341, 512), (682, 1024), (1365, 2048)]
    assert pyramid.levels(300, 400) == [(300, 400)]
    assert [pyramid.budget(300, level) for level in range(4)] == [300, 150, 75, 37]


def subject(**options: object) -> Subject:
    return Subject(picture(), [[(picture(48, 36, seed=1), 1.0)]], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("init", ["photo", "noise", "style"])
def test_painting_lowers_the_objective_and_is_deterministic(init: str) -> None:
    plan = pyramid.Plan(SPEC, Method(closures=6), init, coarsest=20)
    seen: list[pyramid.Progress] = []
    first = pyramid.paint(network(), subject(), (32, 40), plan, report=seen.append)
    again = pyramid.paint(network(), subject(), (32, 40), plan)
    assert first.image.shape == (32, 40, 3)
    assert np.array_equal(first.image, again.image)
    assert first.values[-1] < first.values[0]
    assert (seen[0].level, seen[-1].level) == (0, 1)
    assert seen[-1].closure == seen[-1].closures == 9
    assert seen[0].picture().shape == (32, 40, 3)


def test_unknown_start_is_refused() -> None:
    with pytest.raises(UsageError, match="photo, noise, style"):
        pyramid.paint(network(), subject(), (32, 40), pyramid.Plan(SPEC, Method(), "sketch"))


@pytest.mark.parametrize("stop_after", [2, 5])
def test_paused_painting_goes_on_as_if_unbroken(tmp_path: Path, stop_after: int) -> None:
    plan = pyramid.Plan(SPEC, Method(closures=6), coarsest=20)
    whole = pyramid.paint(network(), subject(), (32, 40), plan)
    steps: list[object] = []
    paused = pyramid.paint(
        network(), subject(), (32, 40), plan, report=steps.append,
        stop=lambda: len(steps) >= stop_after,
    )  # fmt: skip
    assert paused.pause is not None
    assert paused.image.shape == (32, 40, 3)
    run = stored.fingerprint(subject(), (32, 40), plan)
    stored.save(paused.pause, run, tmp_path / "state")
    pause = stored.load(tmp_path / "state", run)
    resumed = pyramid.paint(network(), subject(), (32, 40), plan, start=pause)
    assert np.array_equal(resumed.image, whole.image)
    assert resumed.values == whole.values


def test_state_of_another_painting_is_refused(tmp_path: Path) -> None:
    plan = pyramid.Plan(SPEC, Method(closures=6))
    run = stored.fingerprint(subject(), (32, 40), plan)
    photo = to_tensor(picture())
    stored.save(pyramid.Pause(0, State.at(photo)), run, tmp_path / "state")
    other = stored.fingerprint(subject(style_scale=2.0), (32, 40), plan)
    with pytest.raises(UsageError, match="style_scale"):
        stored.load(tmp_path / "state", other)
    more = stored.fingerprint(subject(), (32, 40), pyramid.Plan(SPEC, Method(closures=9)))
    assert stored.load(tmp_path / "state", more).level == 0
    with pytest.raises(UsageError, match="nothing to resume"):
        stored.load(tmp_path / "none", run)
    (tmp_path / "state").write_bytes(b"no state")
    with pytest.raises(UsageError, match="is not the state"):
        stored.load(tmp_path / "state", run)


def clouds(height: int, width: int, seed: int, slope: float) -> np.ndarray:
    """Noise of six octaves, coarser ones stronger by 2**slope: what photos and paintings have."""
    random, size = np.random.default_rng(seed), (height, width)
    parts = [torch.from_numpy(random.standard_normal((1, 3, height >> k, width >> k)))
             for k in range(6)]  # fmt: skip
    octaves = (F.interpolate(p, size, mode="bicubic") * 2 ** (slope * k)
               for k, p in enumerate(parts))  # fmt: skip
    noise = sum(octaves)[0].permute(1, 2, 0).numpy()  # type: ignore[index]
    return (128 + 50 * noise / noise.std()).clip(0, 255).astype(np.uint8)


@pytest.mark.slow
def test_no_frame_is_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Contrast at the border over that inside: without a margin it was 1.4, a dotted frame."""
    monkeypatch.delenv("RTSTYLE_STYLES")
    subject = Subject(clouds(72, 96, 0, 1.0), [[(clouds(72, 96, 1, 0.3), 1.0)]])
    spec = without_download(GatysSpec(), None)
    layers = load_network(spec.layers)
    picture = pyramid.paint(
        layers, subject, (72, 96), pyramid.Plan(spec, Method(closures=40))
    ).image
    down, right = (np.abs(np.diff(picture.astype(np.float32), axis=axis)) for axis in (0, 1))
    rows, columns = down.mean(axis=(1, 2)), right.mean(axis=(0, 2))
    border = np.mean([rows[:2], rows[-2:], columns[:2], columns[-2:]])
    inside = np.mean([rows[8:-8].mean(), columns[8:-8].mean()])
    assert border < 1.1 * inside


def test_texture_has_the_gram_matrix_of_the_painting() -> None:
    spec = GatysSpec({}, {"conv1_1": 1.0}, content_weight=0.0, tv_weight=0.0)
    net = network("conv1_1")
    painting = picture(seed=1)
    texture = Subject(None, [[(painting, 1.0)]])
    made = pyramid.paint(net, texture, (32, 48), pyramid.Plan(spec, Method(closures=60), "noise"))

    def gram(image: np.ndarray) -> torch.Tensor:
        return functional.gram_matrix(plain(to_tensor(image))["conv1_1"])

    wanted = gram(painting)
    gone = functional.style_distance(gram(made.image), wanted)
    # The margin, more than half of so small a picture, has its share in the matrix.
    assert float(gone) < 0.05
    assert made.image.shape == (32, 48, 3)


def test_pictures_too_small_for_the_layers_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 2"):
        pyramid.check_size(network(), (1, 40))


# ---- memory


def square(side: int, dtype: torch.dtype = torch.float32) -> memory.Work:
    return memory.Work(side, side, 30, dtype)


def test_memory_plan_keeps_then_saves_then_refuses() -> None:
    assert memory.plan(square(256), 4 << 30) is False
    assert memory.plan(square(1024), 4 << 30) is True
    with pytest.raises(UsageError, match=r"--long-side \d+ would fit") as caught:
        memory.plan(square(2048), 4 << 30)
    side = int(caught.value.todo.split()[1])
    memory.plan(square(side), 4 << 30)


def test_bfloat16_takes_less_memory() -> None:
    """Measured at 1024², with a full history: 2.97 GiB where float32 takes 3.78."""
    half, full = square(1024, torch.bfloat16), square(1024)
    assert 2.97 < half.bytes(frugal=False) / 2**30 < 3.78 < full.bytes(frugal=False) / 2**30
    assert memory.plan(half, 4 << 30) is False
    assert half.side(4 << 30) > full.side(4 << 30)


def test_memory_stays_within_the_promised_bounds() -> None:
    for side, gib in ((1024, 6), (2048, 16)):
        frugal = memory.plan(square(side), gib << 30)
        assert square(side).bytes(frugal=frugal) <= gib << 30


@pytest.mark.parametrize(
    "failure", [MemoryError(), RuntimeError("DefaultCPUAllocator: not enough memory: you tried")]
)
def test_failed_allocations_are_explained(failure: Exception) -> None:
    with (
        pytest.raises(UsageError, match="would fit"),
        memory.explain_shortage(square(4096), 8 << 30),
    ):
        raise failure
    with pytest.raises(RuntimeError, match="else"), memory.explain_shortage(square(64), 8 << 30):
        raise RuntimeError("something else")


# ---- colours, sheets


def test_matched_colours_have_the_mean_and_covariance_of_the_content() -> None:
    rng = np.random.default_rng(0)
    style = rng.integers(60, 200, (40, 50, 3)).astype(np.uint8)
    mixing = np.array([[0.3, 0.1, 0], [0, 0.2, 0.1], [0.1, 0, 0.3]])
    content = (rng.integers(0, 256, (30, 30, 3)) @ mixing + 60).clip(0, 255).astype(np.uint8)
    matched = match_colors(style, Colours.of(content)).reshape(-1, 3).astype(float)
    wanted = content.reshape(-1, 3).astype(float)
    np.testing.assert_allclose(matched.mean(0), wanted.mean(0), atol=0.2)
    np.testing.assert_allclose(np.cov(matched.T), np.cov(wanted.T), rtol=0.02, atol=2)


def test_matching_flat_colours_stays_finite() -> None:
    flat = np.full((8, 8, 3), 90, np.uint8)
    content = picture()
    assert np.ptp(match_colors(flat, Colours.of(content)).reshape(-1, 3), axis=0).max() == 0
    assert (match_colors(content, Colours.of(flat)) == 90).all()


def test_matching_the_own_colours_changes_nothing() -> None:
    image = picture()
    assert np.abs(match_colors(image, Colours.of(image)).astype(int) - image).max() <= 1


def test_sheet_of_reconstructions_has_a_row_for_each_kind() -> None:
    sets = [("conv1_1",), ("conv1_1", "conv2_1")]
    planned = rows(picture(), picture(seed=1), 32, sets, None, Method(closures=2))
    assert [len(row) for row in planned] == [2, 5, 5]
    assert planned[0][1].name == "conv1_1 + conv2_1"
    done = [picture(32, 32)] * 12
    whole = lay_out(planned, done, 32)
    assert whole.shape == lay_out(planned, done[:3], 32).shape
    assert rows(picture(), None, 32, [], [], Method()) == []


def test_image_round_trip() -> None:
    image = picture()
    assert np.array_equal(to_image(to_tensor(image)), image)


# ---- the speed table


@pytest.mark.slow
def test_speed_table_multiplies_what_was_measured() -> None:
    from rtstyle_export.offline.johnson_bench import seconds_table, speedup_table

    shown: list[str] = []
    painters = {"paper": np.copy, "fast": np.copy}
    lines = measure([64], painters, closures=1, runs=1, progress=shown.append)
    line = lines[0]
    assert line.speedup("fast", 500) == pytest.approx(500 * line.closure / line.networks["fast"])
    assert line.to_json()["speedup"]["paper"]["100"] == line.speedup("paper", 100)
    assert shown == ["paper at 64 px", "fast at 64 px", "1 closures at 64 px"]
    fixed = [Line(256, 0.5, 3, {"paper": 0.25, "fast": 0.01})]
    assert list(seconds_table(fixed).columns[2].cells) == ["~50.0"]
    assert list(speedup_table(fixed).columns[3].cells) == ["1000 x"]
    assert list(speedup_table(fixed).columns[-1].cells) == ["1057 x"]
