"""`weights-tools cache`: the published checkpoints on this disk."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weights_tools.formats.native_output import native_messages_dropped
from weights_tools.formats.terminal import AsJson, echo, megabytes, show_columns, show_json

if TYPE_CHECKING:
    from weights_tools.cached_files import Cached

HELP = """Manage the checkpoints that weights="imagenet" downloaded and converted.

Checkpoints from hf:// are in the Hugging Face Hub's own cache: see `hf cache`."""


def path_command() -> None:
    """Print the cache folder."""
    with native_messages_dropped():
        from keras_effnets.weights.cache import home
    typer.echo(home())


def list_command(as_json: AsJson = False) -> None:
    """List the cached files, and whether this release still uses them."""
    with native_messages_dropped():
        from weights_tools.cached_files import LOCK, cached
    files = [file for file in cached() if file.kind != LOCK]
    if as_json:
        show_json([_record(file) for file in files])
        return
    if not files:
        typer.echo("the cache is empty")
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


def prune_command(
    downloads: Annotated[
        bool, typer.Option("--downloads", help="Also remove downloads that have been converted.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Remove all downloads and conversions.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be removed, and remove nothing.")
    ] = False,
) -> None:
    """Remove conversions by other releases' rules, and leftovers of interrupted processes.

    Files of other programs and files in use are never removed.
    """
    with native_messages_dropped():
        from keras_effnets.weights.cache import RULES_VERSION
        from weights_tools.cached_files import CONVERSION, DOWNLOAD, LOCK, cached, remove

    def is_removable(file: Cached) -> bool:
        if file.kind == DOWNLOAD:
            return everything or (downloads and not file.is_used)
        if file.kind == CONVERSION:
            return everything or file.rules != RULES_VERSION
        return True

    freed = []
    for file in filter(is_removable, list(cached())):
        if not dry_run and not remove(file):
            echo(f"kept, because a process is using it: {file.path}")
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
