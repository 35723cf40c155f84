"""The map of the package: which room may import which, and how large rooms and modules are."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = next(p for p in Path(__file__).resolve().parents if (p / "pyproject.toml").is_file())

# From top to bottom; a room imports what is below it. In a layer of "|" rooms do not know each
# other, in one of ":" they may. Imports inside functions and for types count, too.
LAYERS = {
    "rtstyle": (
        "__main__ : cli : commands",
        "serve : remote : bench : doctor : cluster",
        "jobs | live",
        "pipeline | painting | testing",
        "report | frame_painter | sources | sinks | styles",
        "media | engines | frame_queue",
        "files : machine : frame : sound : errors : signals : closeable : samples",
    ),
    "rtstyle_export": (
        *("export", "quality", "offline", "train", "runs", "onnx_files", "networks", "maths"),
        "augment | data",
    ),
}
# Who may import these at all.
ONLY_IN = {
    "torch": ("rtstyle_export",),
    "torchvision": ("rtstyle_export",),
    "rtstyle_export": ("rtstyle_export", "rtstyle.commands"),
    "typer": ("rtstyle.cli", "rtstyle.commands"),
    "rtstyle.commands": ("rtstyle.cli", "rtstyle.commands"),
}
# All that start threads, and what runs in them.
THREADS = {
    "rtstyle.pipeline": "capture and workers of a run",
    "rtstyle.live.bank.errands": "models made ready while the picture continues",
    "rtstyle.live.bank.fitting": "pictures fitted, each in a process of its own",
    "rtstyle.jobs.augment.run": "pictures of a data set, some at once",
    "rtstyle.sources.cameras.resilient": "a camera that may hang",
    "rtstyle.sources.microphone": "sound, which waits for nobody",
    "rtstyle.sinks.streams.sender": "encoding for a network that may hang",
    "rtstyle.sinks.streams.relay": "what the process beside it says",
    "rtstyle.serve.camera": "the server's own camera",
    "rtstyle.serve.matching": "pictures encoded in other colours while the others are painted",
    "rtstyle.serve.painter": "the one engine that all clients share",
    "rtstyle.serve.web.host": "the server beside its owner, and a browser that is opened",
    "rtstyle.remote.osc": "OSC, which comes at any moment",
    "rtstyle.remote.server": "the controls beside a running picture",
    "rtstyle.commands.training.outcome": "a line now and then where there is no terminal",
    "rtstyle.bench.child": "streams of an engine, timed together",
    "rtstyle_export.train.pool": "photos read by every core",
    "rtstyle_export.maths.soap_group": "eigenbases on the host beside the device",
}
# Imports of rtstyle inside functions, at most. A command imports its job, which `--help` does not
# need. Elsewhere they are where a package opens one of many (`open_video`), where a library is
# loaded for who asks for it, and in child processes. Others stand at the top.
LAZY = {"commands": 40, "elsewhere": 44}
STARTERS = ("Thread", "Timer", "ThreadPoolExecutor", "ProcessPoolExecutor")
MOST_MODULES, MOST_LINES = 14, 350
MOST_MEDIAN = 8
"""Lines of the median function, its docstring included."""


def named() -> Iterator[tuple[str, Path]]:
    for root in (ROOT / "realtime", ROOT / "export"):
        for path in sorted(root.rglob("*.py")):
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


SOURCES = dict(named())
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in SOURCES.items()}


def imports(module: str) -> Iterator[str]:
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def place(module: str) -> tuple[int, str] | None:
    """Return the number of the layer, and the room; None outside all."""
    package, _, rest = module.partition(".")
    room = rest.partition(".")[0]
    layers = LAYERS.get(package, ())
    return next(((n, room) for n, layer in enumerate(layers) if room in layer.split()), None)


def may_import(here: tuple[int, str], there: tuple[int, str], package: str) -> bool:
    same = here[1] == there[1] or ":" in LAYERS[package][here[0]]
    return there[0] > here[0] or (there[0] == here[0] and same)


def test_every_module_has_a_room() -> None:
    assert [name for name in SOURCES if "." in name and place(name) is None] == []


@pytest.mark.parametrize("package", LAYERS)
def test_imports_go_down(package: str) -> None:
    wrong = [
        f"{name} imports {imported}"
        for name in SOURCES
        for imported in imports(name)
        if within(name, package) and within(imported, package)
        if (here := place(name)) and (there := place(imported))
        if not may_import(here, there, package)
    ]
    assert wrong == []


def test_rooms_do_not_import_what_is_not_theirs() -> None:
    wrong = [
        f"{name} imports {imported}"
        for name in SOURCES
        for imported in imports(name)
        for package, allowed in ONLY_IN.items()
        if within(imported, package) and not any(within(name, owner) for owner in allowed)
    ]
    assert wrong == []


def starts_threads(module: str) -> bool:
    calls = (node.func for node in ast.walk(TREES[module]) if isinstance(node, ast.Call))
    return any(getattr(f, "attr", getattr(f, "id", "")) in STARTERS for f in calls)


def test_threads_are_started_where_the_list_says() -> None:
    assert {name for name in SOURCES if starts_threads(name)} - THREADS.keys() == set()


def lazy_imports(module: str) -> int:
    """Count the imports of the package's own modules inside functions."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    inside = {
        node
        for function in ast.walk(TREES[module])
        if isinstance(function, functions)
        for node in ast.walk(function)
        if isinstance(node, ast.ImportFrom | ast.Import)
    }
    names = (n.module if isinstance(n, ast.ImportFrom) else n.names[0].name for n in inside)
    return sum(name is not None and name.partition(".")[0] in LAYERS for name in names)


def test_imports_inside_functions_do_not_become_more() -> None:
    count = Counter[str]()
    for name in SOURCES:
        place = "commands" if within(name, "rtstyle.commands") else "elsewhere"
        count[place] += lazy_imports(name)
    assert {place: count[place] for place, most in LAZY.items() if count[place] > most} == {}


def test_rooms_and_modules_are_of_a_size_to_be_read() -> None:
    rooms = Counter(path.parent.relative_to(ROOT).as_posix() for path in SOURCES.values())
    assert {room: count for room, count in rooms.items() if count > MOST_MODULES} == {}
    lines = {name: path.read_text("utf-8").count("\n") for name, path in SOURCES.items()}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_the_median_function_is_short() -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for tree in TREES.values() for node in ast.walk(tree)]
    lines = [(n.end_lineno or 0) - n.lineno + 1 for n in nodes if isinstance(n, functions)]
    assert median(lines) <= MOST_MEDIAN


def test_no_two_modules_of_tests_have_one_name() -> None:
    # pytest imports them by their names alone.
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_rooms_say_what_they_own_and_cost_nothing() -> None:
    for name, path in SOURCES.items():
        if path.name == "__init__.py":
            assert ast.get_docstring(TREES[name]), f"{name} has no docstring"
