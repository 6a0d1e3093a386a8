"""Converts a B7 checkpoint: seconds, and peak memory above the interpreter with Keras."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def memory(field: str) -> float:
    """A memory field of this process in `/proc/self/status`, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(field))


def convert(checkpoint: Path, out: Path) -> None:
    """Runs one conversion in this process and prints its time and peak memory."""
    from weights_tools.convert import convert

    Path("/proc/self/clear_refs").write_text("5")  # resets the peak, which the imports raised
    before, start = memory("VmRSS"), time.perf_counter()
    convert(checkpoint, "efficientnet_b7", out)
    seconds, size = time.perf_counter() - start, checkpoint.stat().st_size / 1e6
    above = memory("VmHWM") - before
    print(
        f"convert B7 ({size:.0f} MB): {seconds:.1f} s, peak {above:.0f} MB above the "
        f"interpreter with Keras imported ({above / size:.2f} times the file)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", nargs="?", type=Path)
    parser.add_argument("out", nargs="?", type=Path)
    arguments = parser.parse_args()
    if arguments.checkpoint:
        convert(arguments.checkpoint, arguments.out)
        return
    import torch
    from measure import machine

    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from torchvision_import import import_torchvision

    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "b7.pth"
        module = import_torchvision().models.efficientnet_b7(weights=None)
        torch.save(module.state_dict(), checkpoint)
        out = Path(folder) / "b7.safetensors"
        for _ in range(3):
            subprocess.run([sys.executable, __file__, checkpoint, out], check=True)


if __name__ == "__main__":
    main()
