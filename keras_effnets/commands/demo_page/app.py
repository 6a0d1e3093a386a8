"""The page's paths: its files, and two that take the bytes of a picture and answer in JSON."""

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

from keras_effnets.commands.demo_page.viewer import Viewer

T = TypeVar("T")

MAX_BYTES = 20 * 2**20
"""Of an upload."""
_FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
_HEADERS = {
    # Nothing comes from elsewhere, and no file name that is shown can become a script.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def create_app(
    viewers: Mapping[str, Viewer], *, max_bytes: int = MAX_BYTES, hosts: Sequence[str] = ("*",)
) -> FastAPI:
    """The page as an ASGI application.

    `GET /api/models` lists the networks. `POST /api/predict?model=` and
    `POST /api/heat?model=&class_index=` take a picture's file as their body. An error is
    `{"error": …}` with a status of 400 or above.

    Args:
        viewers: The networks by the names that the page shows.
        max_bytes: That an upload may have.
        hosts: The names that the server answers to; another page's name that was pointed at this
            machine is none of them.
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
    async def models() -> dict[str, Any]:
        return {
            "max_bytes": max_bytes,
            "models": [
                {
                    "name": name,
                    "side": viewer.preset.crop,
                    "classes": viewer.classes,
                    "engine": viewer.engine,
                }
                for name, viewer in viewers.items()
            ],
        }

    @app.post("/api/predict")
    async def predict(request: Request, model: str) -> dict[str, Any]:
        viewer = _viewer(viewers, model)
        answer = await _computed(viewer.answer, await _body(request, max_bytes))
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
        viewer = _viewer(viewers, model)
        found = await _computed(viewer.heat, await _body(request, max_bytes), class_index)
        return {"picture": _data_url(found.picture), "milliseconds": round(found.milliseconds, 1)}

    return app


def _file(name: str, kind: str) -> Callable[[], Any]:
    content = resources.files("keras_effnets.commands.demo_page").joinpath(name).read_bytes()

    async def answer() -> Response:
        return Response(content, media_type=kind)

    return answer


def _viewer(viewers: Mapping[str, Viewer], name: str) -> Viewer:
    if name not in viewers:
        raise HTTPException(404, f"there is no network {name!r} here: {', '.join(viewers)}")
    return viewers[name]


async def _body(request: Request, most: int) -> bytes:
    """The upload, of which no more is read than allowed."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise HTTPException(413, f"the file has more than {most / 2**20:g} MiB")
    except ClientDisconnect:  # nobody reads the answer, and the log need not have a traceback
        raise HTTPException(400, "the upload broke off") from None
    return bytes(body)


async def _computed(function: Callable[..., T], *arguments: Any) -> T:
    """Runs what takes long in a thread, so that the server goes on answering."""
    try:
        return await run_in_threadpool(function, *arguments)
    except ValueError as error:
        # Without what stands for the name of the file, which the page knows.
        reason = str(error)
        raise HTTPException(400, reason.partition(">: ")[2] or reason) from error


def _data_url(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
