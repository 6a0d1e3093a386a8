"""Processes that know nothing of the tests, forked from one that has imported Keras and no more.

Importing it takes longer than most of what these processes do. What a script must see of an
import, of TensorFlow's variables or of the memory taken needs `subprocess` instead.
"""

import atexit
import gc
import json
import os
import subprocess
import sys
import tempfile
import traceback
import types
from pathlib import Path
from typing import Any, NoReturn


class _Template:
    """The process that is forked, as the tests see it: started when it is first needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def ask(self, **request: Any) -> int:
        """The exit status of a process that does what is asked."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            atexit.register(self._end)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def _end(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.communicate()


_TEMPLATE = _Template()


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """What `python -c script arguments` does, on TensorFlow, with this process's environment."""
    command = ["-c", *map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        status = _TEMPLATE.ask(
            script=script,
            argv=command,
            environment=dict(os.environ),
            cwd=os.getcwd(),
            out=str(out),
            err=str(err),
        )
        return subprocess.CompletedProcess(command, status, out.read_text(), err.read_text())


def _serve() -> None:
    from weights_tools.launch import native_messages_dropped

    with native_messages_dropped():
        import keras  # noqa: F401

    gc.freeze()
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        if (child := os.fork()) == 0:
            _become(request)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def _become(request: dict[str, Any]) -> NoReturn:
    for name, number in (("out", 1), ("err", 2)):
        file = os.open(request[name], os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    sys.argv, sys.path[0] = request["argv"], ""
    code = compile(request["script"], "<string>", "exec")
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    status: object = 0
    try:
        exec(code, main.__dict__)
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
        status = 1
    # Python's own way to end takes seconds to free all that Keras has brought.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


if __name__ == "__main__":
    _serve()
