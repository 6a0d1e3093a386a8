"""The folder of a run: what lies where, who may write, and whether it is the same run."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from weights_tools.formats.atomic import replacing

BEST = "best.keras"


class RunFolder:
    """Paths inside a run's folder, and what is written there, each file whole or not at all.

    Args:
        path: Of the folder; made by `claim`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self.config = self.path / "config.json"
        self.metrics = self.path / "metrics.csv"
        self.best = self.path / BEST
        self.labels = self.path / "labels.txt"
        self.curves = self.path / "curves.png"
        self.confusion = self.path / "confusion.png"
        self.mistakes = self.path / "mistakes.png"
        self.predictions = self.path / "predictions.csv"
        self.report = self.path / "report.md"
        self.state = self.path / "state.safetensors"

    def features(self, part: str) -> Path:
        """Where what the body makes of a part's pictures is kept until the report."""
        return self.path / f"features-{part}.npy"

    @contextmanager
    def claim(self, config: Mapping[str, Any]) -> Iterator[None]:
        """Makes the folder the run's own while the block runs, or finds that it is already.

        Args:
            config: What tells this run from another; every value as JSON keeps it.

        Raises:
            ValueError: If the folder holds another run, or something else; nothing is written.
            OSError: If it cannot be written to.
        """
        self._compare(config)
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.path / ".lock", timeout=0):
                self._compare(config)
                # What a killed process was writing is called `.name.ending.random`.
                for half_written in self.path.glob(".*.*.*"):
                    half_written.unlink()
                if not self.config.exists():
                    self.write_json(self.config, config)
                yield
        except Timeout as error:
            raise ValueError(f"{self.path}: another process works on this run") from error

    def _compare(self, config: Mapping[str, Any]) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path}: this is a file; expected a run's folder")
        if not self.config.exists():
            others = [p.name for p in self.path.glob("*")] if self.path.exists() else []
            if others := [name for name in others if not name.startswith(".")]:
                raise ValueError(
                    f"{self.path}: the folder holds {others[0]} and no run; choose a new folder"
                )
            return
        found = read_config(self.path)
        for group in ("settings", "data"):
            ours, theirs = config[group], found.get(group, {})
            for name in {**ours, **theirs}:
                if ours.get(name) != theirs.get(name):
                    raise ValueError(
                        f"{self.path}: the folder holds a run of another configuration: its {name} "
                        f"is {theirs.get(name)!r}, and not {ours.get(name)!r}; choose a new folder"
                    )

    def write_json(self, path: Path, value: Any) -> None:
        """Writes a value as indented JSON."""
        self.write_text(path, json.dumps(value, indent=2) + "\n")

    def write_text(self, path: Path, text: str) -> None:
        """Writes text as UTF-8."""
        with replacing(path) as file:
            file.write(text.encode())

    def write_table(self, path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes records as CSV, in the columns of all of them."""
        columns = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        self.write_text(path, text.getvalue())

    def write_model(self, model: Any) -> None:
        """Writes the model to `best.keras`."""
        temporary = self.path / f".{BEST}.{os.getpid()}.keras"
        try:
            model.save(temporary)
            os.replace(temporary, self.best)
        finally:
            temporary.unlink(missing_ok=True)


def read_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a run.

    Raises:
        ValueError: If it is none.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not the configuration of a run ({error})") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path}: not the configuration of a run")
    return config
