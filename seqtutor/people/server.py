"""The page where somebody votes: three questions and a few files, for this machine alone.

Whoever can reach the port must also know the token, which stands in the URL's fragment and never travels but in a
header; Host and Origin must be the page's own, so that no other page that a browser has open can ask or vote.
"""

from __future__ import annotations

import hmac
import json
import math
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from seqtutor.domain import Domain
from seqtutor.errors import UserError
from seqtutor.people.asking import Session
from seqtutor.people.votes import ANSWERS
from seqtutor.runs.report.svg import picture_of

LOOPBACK = "127.0.0.1"
LARGEST = 1 << 16  # bytes of a body
IDLE = 3600.0  # seconds without a vote after which the server ends
TOKEN = "x-seqtutor-token"  # noqa: S105 (the name of a header)
FILES = {  # path -> package, file, type; nothing that a client sends names a file
    "/": ("seqtutor.people", "page/rate.html", "text/html"),
    "/rate.css": ("seqtutor.people", "page/rate.css", "text/css"),
    "/rate.js": ("seqtutor.people", "page/rate.js", "text/javascript"),
    "/page.css": ("seqtutor.runs.report", "page.css", "text/css"),
    "/page.js": ("seqtutor.runs.report", "page.js", "text/javascript"),  # the player
}
HEADERS = {
    # Pictures have been cleaned, and may have style attributes; nothing else inline, and nothing from elsewhere.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard(BaseHTTPMiddleware):
    """Lets through what comes from the page itself, and puts the headers on every answer, an error's too."""

    def __init__(self, app: Starlette, port: int, token: str) -> None:
        super().__init__(app)
        self.port, self.token = port, token

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """One request."""
        refused = self.refused(request)
        response = PlainTextResponse(refused, 403) if refused else await call_next(request)
        response.headers.update(HEADERS)
        return response

    def refused(self, request: Request) -> str:
        """Why a request is refused; empty where it is not."""
        hosts = [f"{name}:{self.port}" for name in (LOOPBACK, "localhost")]
        if request.headers.getlist("host") not in [[host] for host in hosts]:
            return f"this server answers to {' and '.join(hosts)} only"
        origin = request.headers.get("origin")
        asked = request.method not in ("GET", "HEAD")
        if (asked or origin is not None) and origin not in [f"http://{host}" for host in hosts]:
            return "only the page itself may ask"
        if not request.url.path.startswith("/api/"):
            return ""
        given = request.headers.get(TOKEN, "").encode()
        return "" if hmac.compare_digest(given, self.token.encode()) else "the token is missing or wrong"


@dataclass
class Page:
    """What the page asks, and what it is told."""

    session: Session
    wanted: int  # votes
    command: str  # that tunes a model by them
    last: float = 0.0  # when something was asked

    def app(self) -> Starlette:
        """The three questions and the files."""
        routes = [Route(path, self._file, methods=["GET"]) for path in FILES]
        routes += [Route("/api/pair", self._pair, methods=["GET"])]
        routes += [Route("/api/vote", self._vote, methods=["POST"]), Route("/api/undo", self._undo, methods=["POST"])]
        return Starlette(routes=routes, exception_handlers={UserError: _told})

    async def _file(self, request: Request) -> Response:
        package, name, kind = FILES[request.url.path]
        return Response(files(package).joinpath(name).read_text(encoding="utf-8"), media_type=kind)

    async def _pair(self, request: Request) -> Response:
        return JSONResponse(self._state())

    async def _vote(self, request: Request) -> Response:
        body = await _body(request)
        name, answer, ms = body.get("pair"), body.get("answer"), body.get("ms", 0)
        if answer not in ANSWERS[:-1] or type(name) is not str or type(ms) is not int or not 0 <= ms < 10**9:
            raise HTTPException(400, f"a vote is a pair, an answer of {', '.join(ANSWERS[:-1])}, and ms")
        if not self.session.answer(name, answer, ms):
            raise HTTPException(409, "that pair is not the one that is open")
        self.last = time.monotonic()
        return JSONResponse(self._state())

    async def _undo(self, request: Request) -> Response:
        await _body(request)
        if not self.session.undo():
            raise HTTPException(409, "there is no vote to take back")
        return JSONResponse(self._state())

    def _state(self) -> dict[str, Any]:
        """The open pair without a word on who wrote it, and how far it has come."""
        pair, domain = self.session.pair(), self.session.domain
        return {
            "pair": pair.id,
            "items": [shown(domain, text) for text in (pair.a, pair.b)],
            "done": len(self.session.votes),
            "given": len(self.session.mine),
            "wanted": self.wanted,
            "file": str(self.session.path),
            "command": self.command,
            "warning": self.session.warning(),
        }


def shown(domain: Domain, text: str) -> dict[str, Any]:
    """An item as the page shows it."""
    picture, problem = picture_of(text, domain)
    notes = [[start, length, pitch] for start, length, pitch in domain.notes(text) if math.isfinite(start + length)]
    return {"picture": picture, "text": "" if picture else text, "problem": problem, "notes": notes}


async def _told(request: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), 500)


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object of a request. Raises HTTPException where it is none, or too large."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "JSON is wanted")
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > LARGEST:
            raise HTTPException(413, f"at most {LARGEST:,} bytes")
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise HTTPException(400, "a JSON object is wanted")
    return body


def bound(port: int) -> socket.socket:
    """A socket on this machine's own address; port 0 is any that is free. Raises UserError where it is in use."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, port))
        listening.listen(16)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = error.strerror if isinstance(error, OSError) else "a port lies between 0 and 65535"
        raise UserError(f"cannot use port {port}: {reason}; --port 0 takes a free one") from error
    return listening


def serve(page: Page, listening: socket.socket, token: str, started: Callable[[Callable[[], bool]], None]) -> None:
    """Answer until Ctrl-C, or an hour without a vote. `started` is told how to ask whether it has ended."""
    import uvicorn

    port = int(listening.getsockname()[1])
    config = uvicorn.Config(
        Guard(page.app(), port, token),
        log_level="error",
        access_log=False,
        lifespan="off",
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=2,
    )
    page.last = time.monotonic()

    class Server(uvicorn.Server):
        """A server that ends by itself when nobody votes."""

        async def on_tick(self, counter: int) -> bool:
            return await super().on_tick(counter) or time.monotonic() - page.last > IDLE

    server = Server(config)
    started(lambda: server.should_exit)
    server.run(sockets=[listening])
