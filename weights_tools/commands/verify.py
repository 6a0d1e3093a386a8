"""`weights-tools verify`: a converted network against its reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weights_tools.formats.terminal import printable, show_columns, show_json, show_pairs
from weights_tools.launch import native_messages_dropped

if TYPE_CHECKING:
    from weights_tools.verify.result import Comparison, Divergence, Verification


def verify(
    file: Annotated[
        Path, typer.Argument(help="A file of ours, of Keras's, or a foreign checkpoint.")
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Its network, a name from `keras-effnets list`.")
    ],
    against: Annotated[
        Path | None,
        typer.Option(
            help="The original checkpoint, or an .npz file of `weights-tools record`. "
            "Default: the checkpoint that FILE is or names."
        ),
    ] = None,
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
    tolerance: Annotated[
        float | None, typer.Option(help="Largest relative error that passes. Default: 1e-4.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare a converted network with its reference, and name the first sublayer that differs.

    Exits 0 where they agree and 1 where they do not.
    """
    if not file.exists():  # before Keras is imported for nothing
        raise FileNotFoundError(f"{file}: there is no such file")
    with native_messages_dropped():
        from weights_tools.verify import verify as verify_file

    found = verify_file(
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
            "pictures": f"{found.pictures}, at {found.side} x {found.side}",
            "spread": f"{found.spread:.2f} among the reference's answers",
            "noise": f"{found.noise:.1e}, the reference's own rounding",
            "top-1": f"the same for {found.top1_agreement:.0%} of the pictures",
        }
    )
    typer.echo()
    rows = [(stage.name, _error(stage.error), _state(stage)) for stage in found.stages]
    show_columns([("Stage", "Error", f"Tolerance {found.tolerance:.0e}"), *rows])
    typer.echo()
    for note in found.notes:
        typer.echo(printable(f"note: {note}"))
    worst = max(found.sublayers, key=lambda each: each.error)
    if found.first is None:
        typer.echo(
            f"agrees: all {len(found.sublayers)} inputs and outputs of sublayers; "
            f"the worst is {worst.name} with {_error(worst.error)}"
        )
    else:
        typer.echo(_verdict(found.first))


def _state(stage: Comparison) -> str:
    if stage.error == stage.tolerance == float("inf"):
        return "other size, see the note"
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
    return "other shape, or no numbers" if error == float("inf") else f"{error:.1e}"
