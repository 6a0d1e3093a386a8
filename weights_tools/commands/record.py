"""`weights-tools record`: a reference, to be compared with where there is no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weights_tools.formats.terminal import megabytes, show_pairs
from weights_tools.launch import native_messages_dropped


def record(
    checkpoint: Annotated[Path, typer.Argument(help="The original, as its library wrote it.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Its network, a name from `keras-effnets list`.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write, .npz.")],
    picture: Annotated[
        list[Path] | None, typer.Option(help="A picture to show besides those drawn; repeatable.")
    ] = None,
    side: Annotated[
        int | None, typer.Option(min=32, help="Of the pictures, pixels. Default: the reference's.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Whose names the original has, such as timm_tf. Default: found out."),
    ] = None,
) -> None:
    """Run the original network in torch and keep what every sublayer gave, for `verify`."""
    if not checkpoint.exists():
        raise FileNotFoundError(f"{checkpoint}: there is no such file")
    if out.suffix != ".npz":
        raise ValueError(f"--out {str(out)!r} does not end in .npz")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"--out {str(out)!r}: there is no folder {out.parent}")
    with native_messages_dropped():
        from weights_tools.verify.recording import write_reference
        from weights_tools.verify.reference_run import run_reference
        from weights_tools.verify.shown_pictures import drawn, read_pictures

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
            "pictures": f"{len(reference.pictures)}, at {reference.side} x {reference.side}",
            "spread": f"{reference.spread:.2f} among its answers",
            "compare with": f"weights-tools verify FILE --model {model} --against {out}",
        }
    )
