"""Servers on this machine alone, which do to a client what real ones do on bad days."""

import contextlib
import http.server
import threading
from collections.abc import Iterator


class Server(http.server.ThreadingHTTPServer):
    """Counts what it was asked for.

    Attributes:
        url: Of its root.
        requests: Method, path, and headers of each request.
    """

    def __init__(self, handler: type[http.server.BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.requests: list[tuple[str, str, dict[str, str]]] = []

    def asked(self, method: str = "GET") -> list[str]:
        """The paths of the requests."""
        return [path for each, path, _ in self.requests if each == method]

    def handle_error(self, request, client_address):
        pass  # a client that hung up is what the test wanted


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET by the method of the path's first part, such as `whole` for `/whole/x.pth`."""

    server: Server
    content = b""

    def do_GET(self):
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        getattr(self, self.path.strip("/").split("/")[0])()

    def send(self, body: bytes, status: int = 200, announced: int | None = None, **headers: str):
        """A response; `announced` is its Content-Length where that is to be another."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if announced is None else announced))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def begin(self) -> int:
        """Where the range that was asked for begins; 0 if none was."""
        return int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))

    def whole(self):
        """Sends the file, or the range that was asked for."""
        begin, size = self.begin(), len(self.content)
        if begin >= size:
            self.send(b"", 416, Content_Range=f"bytes */{size}")
        elif begin:
            rest = f"bytes {begin}-{size - 1}/{size}"
            self.send(self.content[begin:], 206, Content_Range=rest)
        else:
            self.send(self.content)

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[Server]:
    """A server in a thread, gone when the block ends."""
    server = Server(handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
