"""Serving the page."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping

import uvicorn

from keras_effnets.commands.demo_page.app import create_app
from keras_effnets.commands.demo_page.viewer import Viewer

_AT_ONCE = 32
"""Requests; more are refused, and so no more than as many uploads are in memory."""
_LOCAL = {"127.0.0.1", "localhost", "::1"}


def serve(
    viewers: Mapping[str, Viewer], host: str, port: int, *, ready: Callable[[str], None]
) -> None:
    """Serves the page until it is interrupted.

    Args:
        viewers: The networks by name.
        host: The address to listen at; one that is not this machine's own alone opens the page to
            the network.
        port: To listen at; 0 takes a free one.
        ready: Called with the page's URL as soon as it can be opened.

    Raises:
        OSError: If the address is taken or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listening:
        hosts = sorted(_LOCAL) if host in _LOCAL else ["*"]
        config = uvicorn.Config(
            create_app(viewers, hosts=hosts),
            log_level="warning",
            limit_concurrency=_AT_ONCE,
            lifespan="off",
        )
        name = f"[{host}]" if family == socket.AF_INET6 else host
        ready(f"http://{name}:{listening.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[listening])
