"""Hostile checkpoints, read in a process that measures the error, the time and the memory.

The limits are the package's promise: every one is refused within 2 seconds and 200 MB, and the
file that it was to make, the canary, is not there. Seconds are the process's own, so that a busy
machine does not fail the test.
"""

import json
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from crafted import CONTAINERS, ORDERED_DICT, PROTO, STORAGE_ID, state_dict, tensor, text, write

import weights_tools

SECONDS, MEMORY = 2.0, 200e6

Payload = Callable[[bytes], bytes]


def call(name: str, *arguments: bytes) -> bytes:
    module, _, attribute = name.rpartition(".")
    return b"c" + f"{module}\n{attribute}\n".encode() + b"(" + b"".join(arguments) + b"tR"


def alone(value: bytes) -> bytes:
    return PROTO + value + b"."


# Payloads that run Python or a shell, and the reason of the refusal. Each gets a pickled string:
# Python code that creates the canary.
CODE: dict[str, tuple[str, Payload]] = {
    "os.system": ("os.system", lambda py: alone(call("os.system", shell(py)))),
    "posix.system": ("posix.system", lambda py: alone(call("posix.system", shell(py)))),
    "os.popen": ("os.popen", lambda py: alone(call("os.popen", shell(py)))),
    "eval": ("builtins.eval", lambda py: alone(call("builtins.eval", py))),
    "exec": ("builtins.exec", lambda py: alone(call("builtins.exec", py))),
    "Python 2's eval": ("__builtin__.eval", lambda py: alone(call("__builtin__.eval", py))),
    "compile": (
        "builtins.compile",
        lambda py: alone(call("builtins.compile", py, text("x"), text("exec"))),
    ),
    "a chain of getattr": (
        "builtins.getattr",
        lambda py: alone(
            call(
                "builtins.getattr",
                call("builtins.__import__", text("builtins")),
                text("exec"),
            )[:-2]
            + b"tR("
            + py
            + b"tR"
        ),
    ),
    "importlib": (
        "importlib.import_module",
        lambda py: alone(call("importlib.import_module", text("antigravity"))),
    ),
    "runpy": ("runpy._run_code", lambda py: alone(call("runpy._run_code", py, b"}"))),
    "subprocess.Popen": ("subprocess.Popen", lambda py: alone(call("subprocess.Popen", shell(py)))),
    "subprocess by OBJ": (
        "subprocess.getoutput",
        lambda py: alone(b"(csubprocess\ngetoutput\n" + shell(py) + b"o"),
    ),
    "INST": ("os.system by INST", lambda py: alone(b"(" + shell(py) + b"ios\nsystem\n")),
    "NEWOBJ": ("subprocess.Popen", lambda py: alone(b"csubprocess\nPopen\n)\x81")),
    "NEWOBJ_EX": ("subprocess.Popen", lambda py: alone(b"csubprocess\nPopen\n)}\x92")),
    "NEWOBJ of a known class": ("NEWOBJ", lambda py: alone(b"ctorch\nSize\n)\x81")),
    "NEWOBJ_EX of a known class": ("NEWOBJ_EX", lambda py: alone(b"ctorch\nSize\n)}\x92")),
    "EXT1": ("EXT1", lambda py: alone(b"\x82\xe7" + py + b"\x85R")),
    "EXT2": ("EXT2", lambda py: alone(b"\x83\xe7\x00" + py + b"\x85R")),
    "EXT4": ("EXT4", lambda py: alone(b"\x84\xe7\x00\x00\x00" + py + b"\x85R")),
    "STACK_GLOBAL": (
        "builtins.exec",
        lambda py: b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93" + py + b"\x85R.",
    ),
    "STACK_GLOBAL by a dotted name": (
        "weights_tools.formats.torch_format.unpickler.sys.modules",
        lambda py: (
            b"\x80\x04"
            + text("weights_tools.formats.torch_format.unpickler")
            + text("sys.modules")
            + b"\x93."
        ),
    ),
    "STACK_GLOBAL of numbers": ("not a string", lambda py: b"\x80\x04K\x01K\x02\x93."),
    "STACK_GLOBAL of a list": ("not a string", lambda py: b"\x80\x04]]\x93."),
    "in a list in a dict": (
        "builtins.exec",
        lambda py: state_dict(
            before=text("x") + b"]}" + text("y") + call("builtins.exec", py) + b"sas"
        ),
    ),
    "as an argument of a known call": (
        "builtins.exec",
        lambda py: alone(call("torch.Size", call("builtins.exec", py))),
    ),
    "as a tensor's hooks": (
        "builtins.exec",
        lambda py: state_dict(value=tensor(rest=b"\x89" + call("builtins.exec", py))),
    ),
    "as a storage": (
        "builtins.exec",
        lambda py: state_dict(value=tensor(storage=call("builtins.exec", py))),
    ),
    "as a persistent id": (
        "builtins.exec",
        lambda py: alone(b"(U\x07storage" + call("builtins.exec", py) + b"U\x010U\x03cpuK\x02tQ"),
    ),
    "a persistent id of a module": (
        "not a storage",
        lambda py: alone(b"(U\x06moduleNNNtQ"),
    ),
    "a persistent id in text": ("PERSID", lambda py: alone(b"Pbuiltins.exec\n")),
    "__setstate__": (
        "'__setstate__'",
        lambda py: alone(ORDERED_DICT + b"}" + text("__setstate__") + py + b"sb"),
    ),
    "BUILD of __class__": (
        "'__class__'",
        lambda py: alone(ORDERED_DICT + b"}" + text("__class__") + py + b"sb"),
    ),
    "BUILD of a function": (
        "BUILD",
        lambda py: alone(b"ctorch\nSize\n}" + text("__call__") + py + b"sb"),
    ),
    "BUILD of slots": (
        "BUILD",
        lambda py: alone(tensor() + b"N}" + text("dtype") + py + b"s\x86b"),
    ),
    "functools.partial": (
        "functools.partial",
        lambda py: alone(call("functools.partial", call("operator.attrgetter", text("x")))),
    ),
    "functools.reduce": (
        "functools.reduce",
        lambda py: alone(b"cfunctools\nreduce\n(cbuiltins\nexec\n](" + py + b"etR"),
    ),
    "operator.attrgetter": (
        "operator.attrgetter",
        lambda py: alone(call("operator.attrgetter", text("__globals__"))),
    ),
    "operator.methodcaller": (
        "operator.methodcaller",
        lambda py: alone(call("operator.methodcaller", text("exec"), py)),
    ),
    "pickle.loads": (
        "pickle.loads",
        lambda py: alone(call("pickle.loads", b"B" + struct.pack("<I", 4) + b"cx\n.")),
    ),
    "copyreg": ("copyreg._reconstructor", lambda py: alone(call("copyreg._reconstructor", b"NNN"))),
    "copyreg.add_extension": (
        "copyreg.add_extension",
        lambda py: alone(call("copyreg.add_extension", text("os"), text("system"), b"K\xe7")),
    ),
    "codecs.encode": (
        "_codecs.encode",
        lambda py: alone(call("_codecs.encode", py, text("rot13"))),
    ),
    "types.CodeType": ("types.CodeType", lambda py: alone(call("types.CodeType", py))),
    "ctypes": ("ctypes.CDLL", lambda py: alone(call("ctypes.CDLL", text("libc.so.6")))),
    "shutil.rmtree": ("shutil.rmtree", lambda py: alone(call("shutil.rmtree", text("/nowhere")))),
    "webbrowser.open": ("webbrowser.open", lambda py: alone(call("webbrowser.open", text("x")))),
    "builtins.open": (
        "builtins.open",
        lambda py: alone(call("builtins.open", text("x"), text("w"))),
    ),
    "timeit": ("timeit.timeit", lambda py: alone(call("timeit.timeit", py))),
    "a name of many lines": (
        r"asks for a\nb.c",
        lambda py: b"\x80\x04" + text("a\nb") + text("c") + b"\x93.",
    ),
}
# Functions that pickles of torch and NumPy may name, and that run or reach code.
for _name in (
    "torch.load",
    "torch.save",
    "torch.hub.load",
    "torch.hub.load_state_dict_from_url",
    "torch.jit.load",
    "torch.jit._script.unpackage_script_module",
    "torch.ops.load_library",
    "torch.compile",
    "torch._C._jit_get_operation",
    "torch._C._load_for_lite_interpreter",
    "torch._C.PyTorchFileReader",
    "torch._dynamo.eval_frame.optimize",
    "torch._utils._import_dotted_name",
    "torch._utils._rebuild_wrapper_subclass",
    "torch._tensor._rebuild_from_type_v2",
    "torch.storage._load_from_bytes",
    "torch.serialization._load",
    "torch.package.PackageImporter",
    "torch.utils.cpp_extension.load",
    "torch.utils.model_zoo.load_url",
    "torch.distributed.rpc.internal._internal_rpc_pickler",
    "torch.fx.graph_module.reduce_graph_module",
    "torch.nn.modules.module.Module.__setstate__",
    "torch.FloatStorage.from_file",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.load",
    "numpy.f2py.crackfortran.myeval",
    "numpy.testing._private.utils.runstring",
    "weights_tools.formats.torch_format.globals._REBUILDERS",
):
    CODE[_name] = (
        _name,
        lambda py, name=_name: state_dict(before=text("x") + call(name, py) + b"s"),
    )

# Payloads that fill the memory or never end, and the limit that stops them.
BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "opcodes that do nothing": ("opcodes", lambda: alone(b"N0" * 400_000)),
    "lists": ("opcodes", lambda: alone(b"]" * 600_000)),
    "dicts": ("opcodes", lambda: alone(b"}" * 600_000)),
    "marks": ("opcodes", lambda: alone(b"(" * 600_000)),
    "lists, remembered": ("opcodes", lambda: alone(b"]\x94" * 300_000)),
    "ordered dicts": ("opcodes", lambda: alone(b"ccollections\nOrderedDict\n)R" * 200_000)),
    "names": ("opcodes", lambda: alone(b"ctorch\nSize\n" * 600_000)),
    "floats": ("opcodes", lambda: alone(b"G@\x01\0\0\0\0\0\0" * 600_000)),
    "long integers": ("over 16 MiB", lambda: alone((b"\x8a\xff" + b"\x7f" * 255) * 70_000)),
    "nested tuples": ("a tuple as a key", lambda: alone(b"})" + b"\x85" * 450_000 + b"Ns")),
    "nested lists": (
        "a list as a key",
        lambda: alone(b"}" + b"]" * 240_000 + b"a" * 239_999 + b"Ns"),
    ),
    "nested dicts": (
        "a dict as a key",
        lambda: alone(b"}" + b"}N" * 160_000 + b"}" + b"s" * 160_000 + b"Ns"),
    ),
    "a tuple that doubles": (
        "a tuple as a key",
        lambda: alone(b"}N" + b"q\x01h\x01\x86" * 160_000 + b"Ns"),
    ),
    "a list of itself": ("a list as a key", lambda: alone(b"}]q\x01h\x01aNs")),
    "a tuple passed to many calls": (
        "with unusual arguments",
        lambda: alone(b"(" + b"N" * 200_000 + b"tq\x010" + b"ctorch\nSize\nh\x01R0" * 100_000),
    ),
    "keys of one hash": (
        "more than 64 bits",
        lambda: alone(
            b"}("
            + b"".join(
                b"\x8a\x0b" + (i * ((1 << 61) - 1)).to_bytes(11, "little") + b"N"
                for i in range(1, 200_000)
            )
            + b"u"
        ),
    ),
    "a memo of 2**32 slots": ("posix.system", lambda: alone(b"Nr\xff\xff\xff\xffcposix\nsystem\n")),
    "LONG4 of 2**31 bytes": ("LONG4", lambda: alone(b"\x8b\xff\xff\xff\x7f")),
    "LONG4 of 15 MB": (
        "LONG4",
        lambda: alone(b"\x8b" + struct.pack("<i", 15_000_000) + b"\x7f" * 15_000_000),
    ),
    "LONG of 15 million digits": ("LONG", lambda: alone(b"L" + b"9" * 15_000_000 + b"L\n")),
    "INT of 15 million digits": ("INT", lambda: alone(b"I" + b"9" * 15_000_000 + b"\n")),
    "BINUNICODE of 2**32 bytes": ("over 16 MiB", lambda: alone(b"X\xff\xff\xff\xff")),
    "BINUNICODE8 of 2**63 bytes": ("damaged", lambda: alone(b"\x8d" + struct.pack("<Q", 1 << 63))),
    "BINBYTES8 of 2**40 bytes": (
        "over 16 MiB",
        lambda: alone(b"\x8e" + struct.pack("<Q", 1 << 40)),
    ),
    "BYTEARRAY8": ("BYTEARRAY8", lambda: alone(b"\x96" + struct.pack("<Q", 1 << 40))),
    "a frame of 2**63 bytes": (
        "posix.system",
        lambda: alone(b"\x95" + struct.pack("<Q", 1 << 63) + b"cposix\nsystem\n"),
    ),
    "text of wide characters": (
        "posix.system",
        lambda: alone(
            b"".join(text("a" * 3_000_000 + "\U0001f600") for _ in range(5)) + b"cposix\nsystem\n"
        ),
    ),
    "a storage of 2**62 numbers": (
        "storage",
        lambda: state_dict(
            value=tensor(
                storage=STORAGE_ID.replace(b"K\x02t", b"\x8a\x08" + bytes(7) + b"@t") + b"Q"
            )
        ),
    ),
    "a tensor of 2**62 numbers": (
        "reaches outside",
        lambda: state_dict(value=tensor(shape=b"\x8a\x08" + bytes(7) + b"@\x85")),
    ),
    "a name of 15 MB": (
        "asks for a",
        lambda: alone(b"c" + b"a" * 7_000_000 + b"\n" + b"b" * 7_000_000 + b"\n"),
    ),
}

CHILD = """
import json, resource, sys, time
from pathlib import Path
from weights_tools.formats.checkpoint import CheckpointError, read_checkpoint

def peak():  # of this process's own memory: ru_maxrss begins with its parent's
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

good, *files = sys.argv[1:]
read_checkpoint(good)
before = peak()
resource.setrlimit(resource.RLIMIT_CPU, (300, 300))
for path in files:
    start = time.process_time()
    try:
        read_checkpoint(path)
        message = None
    except CheckpointError as error:
        message = str(error)
    seconds = time.process_time() - start
    print(json.dumps([message, seconds, peak() - before]), flush=True)
"""


def shell(py: bytes) -> bytes:
    """The same as a shell command; `py` is a pickled string."""
    return text(f"{sys.executable} -c '{pickle.loads(PROTO + py + b'.')}'")


def make_canary(canary: Path) -> bytes:
    return text(f'open("{canary}", "w").close()')


def measured(folder: Path, files: list[Path]) -> list[tuple[str | None, float, float]]:
    """The message, seconds and bytes of memory of each file, read one after another.

    The peak never decreases: the last file's figure is a bound for all before it.
    """
    good = write(folder / "good.pth", "zip", state_dict())
    result = subprocess.run(
        [sys.executable, "-c", CHILD, str(good), *map(str, files)],
        cwd=Path(weights_tools.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def assert_refused(folder: Path, offenders: dict[Path, str]) -> None:
    outcomes = measured(folder, list(offenders))
    assert len(outcomes) == len(offenders)
    problems = []
    for (path, offender), (message, seconds, memory) in zip(
        offenders.items(), outcomes, strict=True
    ):
        if message is None or offender not in message or "\n" in message:
            problems.append(f"{path.name}: should name {offender!r} in a line, and said {message}")
        if seconds >= SECONDS or memory >= MEMORY:
            problems.append(f"{path.name}: took {seconds:.2f} s and {memory / 1e6:.0f} MB")
    assert not problems, "\n".join(problems)


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="a process's peak of memory is read from /proc"
)


@needs_proc
@pytest.mark.parametrize("container", CONTAINERS)
def test_code(tmp_path: Path, container: str) -> None:
    assert len(CODE) >= 25
    canary = tmp_path / "canary"
    files = {}
    for number, (offender, build) in enumerate(CODE.values()):
        path = tmp_path / f"{number}.pth"
        files[write(path, container, build(make_canary(canary)))] = offender
    assert_refused(tmp_path, files)
    assert not canary.exists()


@pytest.mark.parametrize("case", ["eval", "exec", "os.system", "INST", "STACK_GLOBAL"])
def test_the_canary_is_alive(tmp_path: Path, case: str) -> None:
    """The standard unpickler does what these ask for, so that the test above can fail."""
    canary = tmp_path / "canary"
    pickle.loads(CODE[case][1](make_canary(canary)))
    assert canary.exists()


@needs_proc
@pytest.mark.parametrize("container", CONTAINERS)
def test_bombs(tmp_path: Path, container: str) -> None:
    files = {
        write(tmp_path / f"{name}.pth", container, build()): offender
        for name, (offender, build) in BOMBS.items()
    }
    assert_refused(tmp_path, files)


def zip_of(path: Path, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "/"), content)
    return path


def many_entries(path: Path) -> Path:
    """A directory of a million entries, all of which are the same empty one."""
    local = b"PK\x03\x04" + bytes(26)
    central = (b"PK\x01\x02" + bytes(42)) * 1_000_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, 0xFFFFFFFF, len(local), 0)
    end_64 = struct.pack(
        "<4sQ2H2L4Q",
        *(b"PK\x06\x06", 44, 45, 45, 0, 0, 1_000_000, 1_000_000, len(central), len(local)),
    )
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(local) + len(central), 1)
    path.write_bytes(local + central + end_64 + locator + end)
    return path


def header_of(path: Path, header: bytes) -> Path:
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    return path


@needs_proc
def test_bombs_of_other_layers(tmp_path: Path) -> None:
    zeros = bytes(150 << 20)
    below = (4 << 20) - 100
    files = {
        zip_of(tmp_path / "pickle", r__data__pkl=b"").with_name("pickle"): "no data.pkl",
        zip_of(tmp_path / "pickle of zeros", **{"r/data.pkl": zeros}): "over 16 MiB",
        zip_of(
            tmp_path / "storage of zeros",
            **{
                "r/data.pkl": state_dict(
                    value=tensor(
                        storage=STORAGE_ID.replace(
                            b"K\x02t", b"J" + struct.pack("<i", 150 << 18) + b"t"
                        )
                        + b"Q"
                    )
                ),
                "r/data/0": zeros,
            },
        ): "zip bomb",
        many_entries(tmp_path / "entries"): "1000000 entries",
        header_of(tmp_path / "lists", b'{"a":[' + b"[],[]," * (below // 6) + b"0]}"): "'a'",
        header_of(tmp_path / "dicts", b'{"a":[' + b"{}," * (below // 3) + b"0]}"): "'a'",
        header_of(tmp_path / "nested lists", b'{"a":' + b"[" * below): "damaged",
        header_of(tmp_path / "nested dicts", b'{"a":' * (below // 5)): "damaged",
        header_of(tmp_path / "integers", b'{"a":[' + b"9" * 4299 + b",0]}"): "'a'",
        header_of(
            tmp_path / "sides",
            b'{"a":{"dtype":"U8","data_offsets":[0,0],"shape":['
            + (b"9" * 4299 + b",") * (below // 4300)
            + b"1]}}",
        ): "'a'",
        header_of(
            tmp_path / "names",
            b"{" + b",".join(b'"%d":0' % i for i in range(390_000)) + b"}",
        ): "'0'",
    }
    assert_refused(tmp_path, files)
