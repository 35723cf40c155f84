"""One Ray cluster of two nodes on loopback, and one server of S3, for all tests of this folder."""

from __future__ import annotations

import os
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rtstyle.styles.manifest import FOLDER_VARIABLE

# A busy machine is slow, not dead.
PATIENCE = {
    "RAY_worker_register_timeout_seconds": "240",
    "RAY_health_check_failure_threshold": "12",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # By default workers let all others go first, and here they would hardly run at all.
    "RAY_worker_niceness": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def patiently(ask: Callable[..., Any]) -> Callable[..., Any]:
    """Ask for a node again and again: Ray waits for half a minute, and no setting changes that."""

    def get_node(*args: Any) -> Any:
        for _ in range(240):
            with suppress(RuntimeError):
                return ask(*args)
            time.sleep(1)
        return ask(*args)

    return get_node


def told_at_once(start: Callable[..., Any]) -> Callable[..., Any]:
    """Start a node that knows what its agent writes: it gives up after 15 s without that file.

    An agent of few modules listens to nobody.
    """

    def start_raylet(redis: str, gcs: str, node_id: str, *args: Any, **kwargs: Any) -> Any:
        session = Path(args[8])
        assert session.is_dir()
        (session / f"dashboard_agent_listen_port_{node_id}").write_text("-1")
        return start(redis, gcs, node_id, *args, **kwargs)

    return start_raylet


def node() -> dict[str, Any]:
    """Return what a node has. Given its ports, it does not give up after 15 s without them."""
    names = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port",
             "runtime_env_agent_port")  # fmt: skip
    with ExitStack() as stack:
        free = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        ports = {name: s.getsockname()[1] for name, s in zip(names, free, strict=True)}
    return {"num_cpus": 1, "object_store_memory": 100 << 20, **ports}


@dataclass
class Nodes:
    """A cluster of Ray's, the node that a test may remove, and the styles of its workers."""

    cluster: Any
    second: Any
    styles: Path


@pytest.fixture(scope="session")
def store() -> Iterator[str]:
    """Start a server of S3 with an empty bucket; yield its address in the form s3://..."""
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name, value in ACCOUNT.items():
            patch.setenv(name, value)
        import s3fs

        s3fs.S3FileSystem().mkdir("clips")
        yield "s3://clips"
    server.stop()


@pytest.fixture(scope="session")
def nodes(store: str, sampled_styles: Path) -> Iterator[Nodes]:
    """Start two nodes with one CPU each; their workers inherit the environment of the tests.

    Their styles are those of the tests, and a latent space.
    """
    pytest.importorskip("ray", reason="Ray is not installed: uv sync --extra cluster")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value in PATIENCE.items():
            patch.setenv(name, value)
        import ray
        from ray._private import services
        from ray.cluster_utils import Cluster

        patch.setattr(services, "get_node", patiently(services.get_node))
        # Agents of few modules, as where Ray has no extras.
        patch.setattr(services, "start_raylet", told_at_once(services.start_raylet))
        patch.setattr("ray._private.utils.get_dashboard_dependency_error", ImportError)
        with pytest.MonkeyPatch.context() as short:
            short.setenv(FOLDER_VARIABLE, str(sampled_styles))
            cluster = Cluster(initialize_head=True, head_node_args=node())
            second = cluster.add_node(**node())
        try:
            patch.setenv("RAY_ADDRESS", cluster.address)
            ray.init(cluster.address, log_to_driver=False, configure_logging=False)
            yield Nodes(cluster, second, sampled_styles)
        finally:
            ray.shutdown()
            cluster.shutdown()
            os.environ.pop("RAY_ADDRESS", None)
