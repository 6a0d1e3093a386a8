"""Reads a B7 checkpoint against `torch.load(mmap=True)`, and runs `weights-tools inspect`."""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import torch
from measure import alternate, machine, report

from weights_tools.formats.checkpoint import read_checkpoint

COMMAND = Path(sys.executable).with_name("weights-tools")


def read_ours(path: Path, verify: bool = False) -> float:
    """Maps all tensors and reads one value of each."""
    tensors = read_checkpoint(path, verify=verify).tensors
    return sum(float(tensor.flat[0]) for tensor in tensors.values())


def read_theirs(path: Path) -> float:
    """The same with torch."""
    tensors = torch.load(path, mmap=True, weights_only=True)
    return sum(float(tensor.view(-1)[0]) for tensor in tensors.values())


def forget(path: Path) -> None:
    """Drops the file from the page cache, so that the next read waits for the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cold_seconds(path: Path, verify: bool) -> float:
    """Seconds of one read from a cold page cache."""
    forget(path)
    start = time.perf_counter()
    read_ours(path, verify)
    return time.perf_counter() - start


def inspect_seconds(path: Path) -> tuple[float, float]:
    """Wall and CPU seconds of the command in its own process."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([COMMAND, "inspect", path], stdout=subprocess.DEVNULL, check=True)
    clock, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return clock, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    print(machine())
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from torchvision_import import import_torchvision

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "b7.pth"
        module = import_torchvision().models.efficientnet_b7(weights=None)
        torch.save(module.state_dict(), path)
        print(f"B7: {path.stat().st_size / 2**20:.0f} MiB, {len(module.state_dict())} tensors")
        if read_ours(path) != read_theirs(path):
            raise SystemExit("the two readers disagree on the values")
        seconds = alternate(
            {
                "ours": lambda: read_ours(path),
                "ours, verified": lambda: read_ours(path, verify=True),
                "torch": lambda: read_theirs(path),
            },
            runs=runs,
        )
        report("read and map all", seconds, "ours", "torch")
        for verify in (False, True):
            cold = statistics.median(cold_seconds(path, verify) for _ in range(5))
            print(f"ours from disk, {'' if verify else 'not '}verified: {1e3 * cold:.0f} ms")
        clock, processor = zip(*(inspect_seconds(path) for _ in range(9)), strict=True)
        print(
            f"inspect: {statistics.median(clock):.2f} s ({min(clock):.2f} to {max(clock):.2f}), "
            f"{statistics.median(processor):.2f} s of CPU time"
        )


if __name__ == "__main__":
    main()
