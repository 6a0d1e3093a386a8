"""`weights-tools cache`: what published checkpoints take on this disk."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weights_tools.formats.terminal import megabytes, show_columns, show_json
from weights_tools.launch import native_messages_dropped

if TYPE_CHECKING:
    from weights_tools.cached_files import Cached

HELP = """Look after the checkpoints that weights="imagenet" downloaded and converted.

Those of hf:// are in the Hugging Face Hub's own cache, for which there is `hf cache`."""


def path() -> None:
    """Print the cache's folder."""
    with native_messages_dropped():
        from keras_effnets.weights.cache import home
    typer.echo(home())


def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show each cached file, and whether this release still has a use for it."""
    with native_messages_dropped():
        from weights_tools.cached_files import LOCK, cached
    files = [file for file in cached() if file.kind != LOCK]
    if as_json:
        show_json([_record(file) for file in files])
        return
    if not files:
        typer.echo("nothing is cached")
        return
    rows = [
        (
            file.kind,
            file.model,
            file.weights_set,
            megabytes(file.bytes),
            f"{datetime.fromtimestamp(file.modified):%Y-%m-%d}",
            file.rules or "-",
            "yes" if file.is_used else "no",
            file.note,
        )
        for file in files
    ]
    show_columns([("Kind", "Model", "Set", "Size", "Written", "Rules", "Of use", "Why"), *rows])
    total = sum(file.bytes for file in files)
    typer.echo(f"\n{_counted(len(files))}, {megabytes(total)}")


def prune(
    downloads: Annotated[
        bool, typer.Option("--downloads", help="Remove downloads that are converted, too.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Remove every download and conversion.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")
    ] = False,
) -> None:
    """Remove conversions by other rules than this release's, and what stopped processes left.

    Files of others are never touched, nor those that a process is at work on.
    """
    with native_messages_dropped():
        from keras_effnets.weights.cache import RULES_VERSION
        from weights_tools.cached_files import CONVERSION, DOWNLOAD, LOCK, cached, remove

    def goes(file: Cached) -> bool:
        if file.kind == DOWNLOAD:
            return everything or (downloads and not file.is_used)
        if file.kind == CONVERSION:
            return everything or file.rules != RULES_VERSION
        return True

    freed = []
    for file in filter(goes, list(cached())):
        if not dry_run and not remove(file):
            typer.echo(f"left, a process is at work on it: {file.path}")
        elif file.kind != LOCK:
            freed.append(file.bytes)
            typer.echo(f"{'would remove' if dry_run else 'removed'} {file.path}")
    verb = "would free" if dry_run else "freed"
    typer.echo(f"{verb} {megabytes(sum(freed))} in {_counted(len(freed))}")


def _counted(files: int) -> str:
    return f"{files} file{'' if files == 1 else 's'}"


def _record(file: Cached) -> dict[str, Any]:
    return {
        "path": str(file.path),
        "kind": file.kind,
        "model": file.model,
        "set": file.weights_set,
        "bytes": file.bytes,
        "modified": datetime.fromtimestamp(file.modified).astimezone().isoformat(),
        "rules": file.rules,
        "of_use": file.is_used,
        "note": file.note,
    }
