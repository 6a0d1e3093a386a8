"""`weights-tools verify`: compares a converted network with its reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weights_tools.commands.options import ExtraImages, InputSize, NamingScheme, NetworkName
from weights_tools.formats.native_output import native_messages_dropped
from weights_tools.formats.terminal import (
    AsJson,
    check_input,
    echo,
    show_columns,
    show_json,
    show_pairs,
)

if TYPE_CHECKING:
    from weights_tools.verify.result import Comparison, Divergence, Verification


def verify_command(
    file: Annotated[
        Path,
        typer.Argument(help="A file of keras_effnets or Keras, or another library's checkpoint."),
    ],
    model: NetworkName,
    against: Annotated[
        Path | None,
        typer.Option(
            help="The original checkpoint, or an .npz file of `weights-tools record`. "
            "Default: FILE itself, or the checkpoint recorded in it."
        ),
    ] = None,
    picture: ExtraImages = None,
    side: InputSize = None,
    source: NamingScheme = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Largest relative error that passes. Default: 1e-4.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare a converted network with its reference, and name the first sublayer that differs.

    Exits 0 if they agree and 1 if they differ.
    """
    check_input(file)
    with native_messages_dropped():
        from weights_tools.verify import verify

    found = verify(
        file,
        model,
        against=against,
        pictures=picture or (),
        side=side,
        source=source,
        tolerance=tolerance,
    )
    if as_json:
        show_json(found.to_dict())
    else:
        _show(found)
    if not found.ok:
        raise typer.Exit(1)


def _show(found: Verification) -> None:
    show_pairs(
        {
            "file": found.file,
            "model": found.model,
            "reference": f"{found.reference}, {found.weights_set or 'no published set'}",
            "images": f"{found.pictures}, at {found.side} x {found.side}",
            "spread": f"{found.spread:.2f} between the reference's outputs",
            "noise": f"{found.noise:.1e}, the reference's own rounding error",
            "top-1": f"the same for {found.top1_agreement:.0%} of the images",
        }
    )
    typer.echo()
    rows = [(stage.name, _error(stage.error), _state(stage)) for stage in found.stages]
    show_columns([("Stage", "Error", f"Tolerance {found.tolerance:.0e}"), *rows])
    typer.echo()
    for note in found.notes:
        echo(f"note: {note}")
    worst = max(found.sublayers, key=lambda each: each.error)
    if found.first is None:
        typer.echo(
            f"agrees: all {len(found.sublayers)} inputs and outputs of sublayers; "
            f"the largest error is {_error(worst.error)}, in {worst.name}"
        )
    else:
        typer.echo(_verdict(found.first))


def _state(stage: Comparison) -> str:
    if stage.error == stage.tolerance == float("inf"):
        return "different size, see the note"
    if stage.tolerance == float("inf"):
        return "ok" if stage.error == 0 else "unknown, see the note"
    return "ok" if stage.ok else "differs"


def _verdict(first: Divergence) -> str:
    before = "" if first.before is None else f"before it {_error(first.before)}, "
    after = "at its input" if first.side == "input" else "after it"
    if first.before is None and first.side == "output":
        after = "there"
    return f"differs first at {first.sublayer}: {first.reason}\n  errors: {before}{after} " + (
        _error(first.after)
    )


def _error(error: float) -> str:
    return "different shape, or not finite" if error == float("inf") else f"{error:.1e}"
