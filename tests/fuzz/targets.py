"""What is done with each kind of damaged input, and what has to hold afterwards.

A target takes an input and a folder of its own that is empty. It may raise an `RtstyleError`, which
is an answer; anything else that it raises is a fault. Whatever it writes, it checks.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from helpers import any_models, media
from helpers.any_models import write_any
from helpers.models import identity_model, network_model, write_pretrained
from hypothesis import strategies as st
from PIL import Image

from fuzz.damage import damaged, objects

MOST_FRAMES = 40
OLD = b"what was there before"


@dataclass(frozen=True)
class Target:
    """`inputs` makes the damaged inputs, given a folder for sound ones; `run` takes one."""

    name: str
    inputs: Callable[[Path], st.SearchStrategy[bytes]]
    run: Callable[[bytes, Path], object]


def choice(data: bytes, among: Sequence[Any]) -> Any:
    """Return one of some ways to go, always the same for the same input."""
    return among[zlib.crc32(data) % len(among)]


def require(holds: object, what: str) -> None:
    if not holds:
        raise AssertionError(what)


# Clips


def clips(folder: Path) -> list[bytes]:
    """Return small clips in the usual containers, with sound, subtitles and a cut."""
    size = {"width": 48, "height": 32, "frames": 6}
    made = [
        media.write_clip(folder / "a.mp4", sound="aac", **size),
        media.write_clip(folder / "b.mkv", sound="libopus", subtitles="subrip", **size),
        media.write_clip(folder / "c.webm", codec="libvpx-vp9", sound="libopus", **size),
        media.write_clip(folder / "d.avi", codec="mpeg4", sound="pcm_s16le", **size),
        media.write_clip(folder / "e.ts", sound="aac", **size),
        media.write_clip(folder / "f.mov", codec="prores_ks", pix_fmt="yuv422p10le", **size),
        media.write_clip(folder / "g.mkv", codec="ffv1", pix_fmt="yuv444p", sound="flac", **size),
        media.write_clip(
            folder / "h.mp4", codec="libx265", pix_fmt="yuv420p10le", **{**size, "width": 64}
        ),  # x265 itself crashes at 48 columns
    ]
    return [path.read_bytes() for path in made] + [animation(kind) for kind in ("GIF", "PNG")]


def animation(kind: str) -> bytes:
    pictures = [Image.fromarray(media.picture(48, 32, n)) for n in range(4)]
    file = io.BytesIO()
    pictures[0].save(file, kind, save_all=True, append_images=pictures[1:], duration=40)
    return file.getvalue()


def read_clip(data: bytes, folder: Path) -> None:
    from rtstyle.sources import open_video

    path = folder / f"in.{choice(data, ['mp4', 'mkv', 'gif', 'avi'])}"
    path.write_bytes(data)
    with open_video(path) as source:
        for frame in islice(source, MOST_FRAMES):
            require(frame.image.dtype == np.uint8 and frame.image.ndim == 3, "no RGB picture")


@cache
def stylizer() -> Any:
    from rtstyle.painting.stylizer import Stylizer

    return Stylizer(["identity"], "fast", device="onnxruntime:cpu", height=32)


def convert(data: bytes, folder: Path) -> None:
    """Paint a clip with its sound into another container, over an older file."""
    from rtstyle.jobs.video import stylize_video

    path = folder / "in.mp4"
    path.write_bytes(data)
    output = folder / f"out.{choice(data, ['mp4', 'mkv', 'webm', 'mov'])}"
    output.write_bytes(OLD)
    with ExitStack() as stack:
        stack.callback(whole_or_old, output, folder, {path.name, output.name})
        report = stylize_video(path, output, stylizer=stylizer(), overwrite=True, end=2)
        require(report.frames > 0, "a painted video without a frame")
        require(output.read_bytes()[:21] != OLD, "nothing was written")


def whole_or_old(output: Path, folder: Path, known: set[str]) -> None:
    found = {path.name for path in folder.iterdir()}
    require(found == known, f"left behind: {sorted(found ^ known)}")
    if output.read_bytes() == OLD:
        return
    if output.suffix in (".mp4", ".mkv", ".webm", ".mov"):
        with av.open(str(output)) as file:
            require(sum(1 for _ in file.decode(video=0)) > 0, "an output without a picture")
    else:
        with Image.open(output) as picture:
            picture.load()


# Pictures


def pictures(_: Path) -> list[bytes]:
    """Return small pictures of every kind that is read, with EXIF, profiles and alpha."""
    from PIL import ImageCms

    colour = Image.fromarray(media.picture(48, 32, 5))
    exif = Image.Exif()
    exif[274], exif[315] = 6, "A. Painter"
    exif.get_ifd(0x8769)[37510] = b"a comment"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    alpha = colour.copy()
    alpha.putalpha(colour.convert("L"))
    deep = Image.fromarray(np.arange(48 * 32, dtype=np.uint16).reshape(32, 48))
    kinds: list[tuple[Any, str, dict[str, Any]]] = [
        (colour, "JPEG", {"exif": exif, "icc_profile": profile}),
        (colour.convert("CMYK"), "JPEG", {"progressive": True}),
        (alpha, "PNG", {"exif": exif, "icc_profile": profile}),
        (deep, "PNG", {}),
        (colour.convert("P"), "PNG", {"transparency": 3}),
        (alpha, "WEBP", {"exif": exif, "lossless": True}),
        (colour, "WEBP", {}),
        (colour, "TIFF", {"exif": exif, "compression": "tiff_lzw"}),
        (deep, "TIFF", {}),
        (colour, "BMP", {}),
        (colour.convert("P"), "GIF", {}),
        (colour, "PPM", {}),
        (colour, "AVIF", {"speed": 10}),
        (colour, "JPEG2000", {}),
        (colour.convert("1"), "TIFF", {"compression": "group4"}),
    ]
    found = []
    for image, kind, options in kinds:
        file = io.BytesIO()
        with suppress(KeyError, OSError):  # a Pillow without that format
            image.save(file, kind, **options)
            found.append(file.getvalue())
    return found


def paint_photo(data: bytes, folder: Path) -> None:
    """Read a photo and write it, over an older file."""
    from rtstyle.media.picture import read_picture, write_picture

    path, output = folder / "in.jpg", folder / f"out.{choice(data, ['jpg', 'png', 'webp', 'tif'])}"
    path.write_bytes(data)
    output.write_bytes(OLD)
    with ExitStack() as stack:
        stack.callback(whole_or_old, output, folder, {path.name, output.name})
        picture = read_picture(path)
        height, width = picture.rgb.shape[:2]
        if height * width < 4_000_000 and max(height, width) < 16000:
            write_picture(picture, output)
            require(output.read_bytes() != OLD, "nothing was written")


def take_upload(data: bytes, folder: Path) -> None:
    from rtstyle.serve.gallery.pictures import keep_upload

    with ExitStack() as stack:
        kept: list[Path] = []
        stack.callback(lambda: require(list(folder.iterdir()) == kept, "left behind"))
        kept.append(keep_upload(data, "a.jpg", folder).path)
        with Image.open(kept[0]) as picture:
            picture.load()


def masks(folder: Path) -> list[bytes]:
    flat = np.zeros((32, 48, 3), np.uint8)
    flat[:, 24:] = 255
    flat[:10] = 128
    found = pictures(folder)
    for kind in ("PNG", "BMP", "PPM", "TIFF"):
        file = io.BytesIO()
        Image.fromarray(flat).save(file, kind)
        found += [file.getvalue()] * 2
    return found


def weigh_mask(data: bytes, folder: Path) -> None:
    from rtstyle.painting.masks import StillMask, read_mask

    path = folder / "mask.png"
    path.write_bytes(data)
    weights = StillMask(read_mask(path), choice(data, [1, 2, 3])).weights(32, 48)
    require(np.isfinite(weights).all(), "weights that are not numbers")
    require(np.abs(weights.sum(axis=0) - 1).max() < 0.01, "weights that do not sum to 1")


# Styles


def models(_: Path) -> list[bytes]:
    return [identity_model(), network_model(4)]


def open_style(data: bytes, folder: Path) -> None:
    from rtstyle.engines import open_engine

    path = folder / "style.onnx"
    path.write_bytes(data)
    with open_engine(path, choice(data, ["onnxruntime:cpu", "openvino:cpu"])) as engine:
        image = np.full((1, 32, 32, 3), 90, np.uint8)
        require(engine.run(image).dtype == np.uint8, "no picture")


def upsamplers(_: Path) -> list[bytes]:
    """Return the upsampler that ships."""
    return [(Path(__file__).parents[2] / "pretrained" / "upsampler.onnx").read_bytes()]


def enlarge(data: bytes, folder: Path) -> None:
    from rtstyle.painting.upsampling import Upsampler

    device = choice(data, ["onnxruntime:cpu", "openvino:cpu"])
    with Upsampler(device, precision="fp32") as upsampler:
        upsampler._path = folder / "upsampler.onnx"
        upsampler._path.write_bytes(data)
        found = upsampler(np.full((36, 52, 3), 90, np.uint8), np.full((18, 26, 3), 80, np.uint8))
        require(found.shape == (36, 52, 3) and found.dtype == np.uint8, f"{found.shape}")


def manifests(folder: Path) -> st.SearchStrategy[bytes]:
    write_pretrained(folder, {"identity": {"fast": identity_model()}})
    write_any(folder, {"identity": np.zeros(6, np.float32)})
    (folder / "upsampler.onnx").write_bytes(identity_model())
    whole = json.loads((folder / "manifest.json").read_bytes())
    whole["upsampler"] = any_models.entry(folder / "upsampler.onnx")
    sound = json.dumps(whole).encode()
    return st.one_of(damaged([sound]), objects([json.loads(sound)]))


def read_manifest(data: bytes, folder: Path) -> None:
    from rtstyle.doctor import checks
    from rtstyle.styles import manifest as styles

    (folder / "manifest.json").write_bytes(data)
    styles._read_manifest.cache_clear()  # of the same folder's last one
    manifest = styles.load_manifest(folder)
    for style in manifest.styles.values():
        checks.style_check(style.name, style.files.values(), ", ".join(style.sizes))
    enlarging = () if manifest.upsampler is None else (manifest.upsampler,)
    for parts in (*manifest.any.values(), manifest.wct, manifest.textures):
        checks.style_check("any", parts.values(), "")
    checks.style_check("upsampler", enlarging, "")


def caches(folder: Path) -> st.SearchStrategy[bytes]:
    from rtstyle.files.cache import write_vector

    vector = folder / "a.vector"
    write_vector(vector, "of another painting", np.linspace(0, 1, 6, dtype=np.float32))
    choices = {"0" * 24: {"choice": "openvino:cpu", "seconds": {"openvino:cpu": 0.1}}}
    both = [vector.read_bytes(), json.dumps(choices).encode()]
    return st.one_of(damaged(both), objects([choices]))


def use_cache(data: bytes, folder: Path) -> None:
    """Put the input in the place of everything that was remembered, and use it."""
    from rtstyle.engines import devices
    from rtstyle.styles import paintings

    painting = devices.cache_folder().parent / "painting.png"
    if not painting.exists():
        Image.fromarray(media.picture(48, 32, 1)).save(painting)
    with suppress(RuntimeError):
        paintings.encode(str(painting), "fast")
    for path in [p for p in devices.cache_folder().rglob("*") if p.is_file()]:
        path.write_bytes(data)
    paintings._VECTORS.clear()  # what this process remembers would be used in its place
    numbers = paintings.encode(str(painting), "fast")
    require(numbers.shape == (6,) and np.isfinite(numbers).all(), f"used: {numbers}")
    devices._recall("0" * 24)


# The server


def offers(_: Path) -> st.SearchStrategy[bytes]:
    import asyncio

    from helpers.peers import Peer

    async def make() -> str:
        async with Peer("") as peer:
            return await peer.offer()

    return damaged([asyncio.run(make()).encode()])


def answer_offer(data: bytes, _: Path) -> None:
    import asyncio

    from aiortc import VideoStreamTrack

    from rtstyle.serve.clients.peer import answer, check_offer, close_peer, open_peer

    sdp = check_offer(data.decode("utf-8", "replace"))

    async def reply() -> None:
        peer = open_peer()
        track = VideoStreamTrack()
        try:
            await answer(peer, sdp, track)
        finally:
            track.stop()
            await close_peer(peer)

    asyncio.run(reply())


NAMES = ("mosaic", "wave", "identity")
SETTINGS: list[Any] = [
    {"style": "mosaic", "strength": 0.5, "keep_color": True, "mirror": False, "split": True},
    {"style": {"mosaic": 1, "wave": 0.5}},
]


def messages(_: Path) -> st.SearchStrategy[bytes]:
    texts = [json.dumps(value).encode() for value in SETTINGS]
    return st.one_of(damaged([*texts, b"style=mosaic:1,wave:2&strength=.5"]), objects(SETTINGS))


def read_messages(data: bytes, _: Path) -> None:
    from urllib.parse import parse_qsl

    from rtstyle.errors import UsageError
    from rtstyle.serve import settings

    text = data.decode("utf-8", "replace")
    for message in (text, data):
        with suppress(UsageError):
            found = settings.read_message(message, NAMES, NAMES)
            require(0 <= found.get("strength", 0) <= 1, "a strength out of range")
    with suppress(UsageError):
        settings.check_settings(settings.parse_object(data), NAMES, NAMES)
    settings.read_query(dict(parse_qsl(text)), NAMES, NAMES)


REQUESTS = (
    "GET / HTTP/1.1\r\nHost: HERE\r\nConnection: close\r\n\r\n",
    "GET /api/config HTTP/1.1\r\nHost: HERE\r\nOrigin: http://HERE\r\nConnection: close\r\n\r\n",
    "GET /thumbs/identity.webp HTTP/1.1\r\nHost: HERE\r\nConnection: close\r\n\r\n",
    "POST /api/offer HTTP/1.1\r\nHost: HERE\r\nContent-Type: application/json\r\n"
    'Content-Length: 36\r\nConnection: close\r\n\r\n{"sdp": "v=0", "settings": {"a": 1}}',
    "POST /api/pictures?name=a.png HTTP/1.1\r\nHost: HERE\r\nContent-Type: image/png\r\n"
    "Content-Length: 8\r\nConnection: close\r\n\r\n\x89PNG\r\n\x1a\n",
    "GET /static/page.css HTTP/1.1\r\nHost: HERE\r\nRange: bytes=0-10\r\nConnection: close\r\n\r\n",
)


_ENDING = ExitStack()


@cache
def server() -> Any:
    from rtstyle.serve.server import Options, serving

    return _ENDING.enter_context(serving(Options(port=0, style="identity", min_fps=0)))


def ask_server(data: bytes, _: Path) -> None:
    """Send bytes to a server that runs. It answers, with anything but a fault, and goes on."""
    import socket

    import httpx

    address = server().address
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        with suppress(OSError):
            connection.sendall(data.replace(b"HERE", f"{host}:{port}".encode()))
            connection.shutdown(socket.SHUT_WR)
        reply = b""
        with suppress(OSError):
            while part := connection.recv(65536):
                reply += part
    require(not reply.startswith(b"HTTP/1.1 500"), f"a fault: {reply[:300]!r}")
    require(httpx.get(f"{address}/health", timeout=30).status_code == 200, "it does not go on")


def requests(_: Path) -> st.SearchStrategy[bytes]:
    return damaged([request.encode("latin-1") for request in REQUESTS])


def of(seeds: Callable[[Path], list[bytes]]) -> Callable[[Path], st.SearchStrategy[bytes]]:
    return lambda folder: damaged(seeds(folder))


TARGETS = {
    target.name: target
    for target in (
        Target("clips", of(clips), read_clip),
        Target("conversions", of(clips), convert),
        Target("photos", of(pictures), paint_photo),
        Target("uploads", of(pictures), take_upload),
        Target("masks", of(masks), weigh_mask),
        Target("styles", of(models), open_style),
        Target("upsamplers", of(upsamplers), enlarge),
        Target("manifests", manifests, read_manifest),
        Target("caches", caches, use_cache),
        Target("offers", offers, answer_offer),
        Target("messages", messages, read_messages),
        Target("requests", requests, ask_server),
    )
}
