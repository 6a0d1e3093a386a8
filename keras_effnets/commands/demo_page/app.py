"""The demo page as a web application: its files, and an API that takes images and returns JSON."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect

from keras_effnets.commands.demo_page.demo_model import DemoModel

T = TypeVar("T")

MAX_BYTES = 20 * 2**20
"""Largest upload."""
_FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
_HEADERS = {
    # Nothing is loaded from other sites, and a file name on the page can't act as a script.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def create_app(
    models: Mapping[str, DemoModel], *, max_bytes: int = MAX_BYTES, hosts: Sequence[str] = ("*",)
) -> FastAPI:
    """Builds the page as an ASGI application.

    `GET /api/models` lists the networks. `POST /api/predict?model=` and
    `POST /api/heat?model=&class_index=` take an image file as their body. An error is
    `{"error": …}` with a status of 400 or above.

    Args:
        models: The networks by the names that the page shows.
        max_bytes: The largest upload accepted.
        hosts: The host names that the server answers to. This keeps out other sites whose name
            was pointed at this machine (DNS rebinding).
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))

    @app.middleware("http")
    async def with_headers(request: Request, call_next: Callable[..., Any]) -> Response:
        response: Response = await call_next(request)
        response.headers.update(_HEADERS)
        return response

    @app.exception_handler(HTTPException)
    async def as_json(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code)

    @app.exception_handler(RequestValidationError)
    async def as_one_line(request: Request, error: RequestValidationError) -> JSONResponse:
        wrong = error.errors()[0]
        return JSONResponse({"error": f"{wrong['loc'][-1]}: {wrong['msg']}"}, 400)

    for path, (name, kind) in _FILES.items():
        app.get(path)(_file(name, kind))

    @app.get("/api/models")
    async def list_models() -> dict[str, Any]:
        return {
            "max_bytes": max_bytes,
            "models": [
                {
                    "name": name,
                    "side": served.preset.crop,
                    "classes": served.classes,
                    "engine": served.engine,
                }
                for name, served in models.items()
            ],
        }

    @app.post("/api/predict")
    async def predict(request: Request, model: str) -> dict[str, Any]:
        served = _find(models, model)
        answer = await _in_thread(served.answer, await _body(request, max_bytes))
        return {
            "predictions": [
                {"index": index, "name": each.name, "score": each.score}
                for index, each in zip(answer.indices, answer.predictions, strict=True)
            ],
            "picture": _data_url(answer.picture),
            "milliseconds": round(answer.milliseconds, 1),
        }

    @app.post("/api/heat")
    async def heat(request: Request, model: str, class_index: int) -> dict[str, Any]:
        served = _find(models, model)
        found = await _in_thread(served.heat, await _body(request, max_bytes), class_index)
        return {"picture": _data_url(found.picture), "milliseconds": round(found.milliseconds, 1)}

    return app


def _file(name: str, kind: str) -> Callable[[], Any]:
    content = resources.files(__package__).joinpath(name).read_bytes()

    async def answer() -> Response:
        return Response(content, media_type=kind)

    return answer


def _find(models: Mapping[str, DemoModel], name: str) -> DemoModel:
    if name not in models:
        raise HTTPException(404, f"model={name!r}: expected one of {', '.join(models)}")
    return models[name]


async def _body(request: Request, max_bytes: int) -> bytes:
    """Reads the upload, and stops once it is too large."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                raise HTTPException(413, f"the file exceeds {max_bytes / 2**20:g} MiB")
    except ClientDisconnect:  # no one reads this answer; it keeps a traceback out of the log
        raise HTTPException(400, "the upload was interrupted") from None
    return bytes(body)


async def _in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Runs a slow function in a thread, so that the server keeps responding."""
    try:
        return await run_in_threadpool(function, *arguments)
    except ValueError as error:
        # Drops the stand-in for the file's name, such as "<5000 bytes>: "; the page knows it.
        reason = str(error)
        raise HTTPException(400, reason.partition(">: ")[2] or reason) from error


def _data_url(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
