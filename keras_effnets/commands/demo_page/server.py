"""Serves the demo page over HTTP."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping

import uvicorn

from keras_effnets.commands.demo_page.app import create_app
from keras_effnets.commands.demo_page.demo_model import DemoModel

_MAX_REQUESTS = 32
"""Concurrent requests; more are refused, which bounds the memory that uploads take."""
_LOCAL = {"127.0.0.1", "localhost", "::1"}


def serve(
    models: Mapping[str, DemoModel], host: str, port: int, *, ready: Callable[[str], None]
) -> None:
    """Serves the page until it is interrupted.

    Args:
        models: The networks by name.
        host: The address to listen on; any but a loopback address opens the page to the network.
        port: The port to listen on; 0 picks a free one.
        ready: Called with the page's URL as soon as it can be opened.

    Raises:
        OSError: If the port is taken, or the address does not belong to this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listening:
        hosts = sorted(_LOCAL) if host in _LOCAL else ["*"]
        config = uvicorn.Config(
            create_app(models, hosts=hosts),
            log_level="warning",
            limit_concurrency=_MAX_REQUESTS,
            lifespan="off",
        )
        name = f"[{host}]" if family == socket.AF_INET6 else host
        ready(f"http://{name}:{listening.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[listening])
