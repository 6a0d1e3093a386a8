"""`weights-tools record`: saves a reference, for comparisons where torch is not installed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weights_tools.commands.options import ExtraImages, InputSize, NamingScheme, NetworkName
from weights_tools.formats.native_output import native_messages_dropped
from weights_tools.formats.terminal import check_input, check_output, megabytes, show_pairs


def record_command(
    checkpoint: Annotated[Path, typer.Argument(help="The original, as its library wrote it.")],
    model: NetworkName,
    out: Annotated[Path, typer.Option("--out", "-o", help="The .npz file to write.")],
    picture: ExtraImages = None,
    side: InputSize = None,
    source: NamingScheme = None,
) -> None:
    """Run the original network in torch, and record the output of each sublayer for `verify`."""
    check_input(checkpoint)
    if out.suffix != ".npz":
        raise ValueError(f"--out {str(out)!r}: expected a path ending in .npz")
    check_output("--out", out)
    with native_messages_dropped():
        from weights_tools.verify.recording import write_reference
        from weights_tools.verify.reference_run import run_reference
        from weights_tools.verify.shown_images import drawn, read_pictures

    shown = (*drawn(), *read_pictures(picture or ()))
    reference = run_reference(checkpoint, model, shown, side=side, source=source)
    write_reference(reference, out)
    size = out.stat().st_size
    show_pairs(
        {
            "wrote": out,
            "size": f"{size:,} bytes ({megabytes(size)})",
            "model": reference.model,
            "reference": f"{reference.name}, {reference.weights_set or 'no published set'}",
            "images": f"{len(reference.pictures)}, at {reference.side} x {reference.side}",
            "spread": f"{reference.spread:.2f} between its outputs",
            "compare with": f"weights-tools verify FILE --model {model} --against {out}",
        }
    )
