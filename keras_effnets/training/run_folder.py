"""The folder of a run: its files, its lock, and the check that it holds the same run."""

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


class RunFolder:
    """The paths in a run's folder; every file is written completely or not at all.

    Args:
        path: The folder, created by `claim`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self.config = self.path / "config.json"
        self.metrics = self.path / "metrics.csv"
        self.best = self.path / "best.keras"
        self.labels = self.path / "labels.txt"
        self.curves = self.path / "curves.png"
        self.confusion = self.path / "confusion.png"
        self.mistakes = self.path / "mistakes.png"
        self.predictions = self.path / "predictions.csv"
        self.report = self.path / "report.md"
        self.state = self.path / "state.safetensors"

    def features(self, part: str) -> Path:
        """The cache of the body's features for a part's images, deleted at the end of the run."""
        return self.path / f"features-{part}.npy"

    @contextmanager
    def claim(self, config: Mapping[str, Any]) -> Iterator[None]:
        """Creates the folder or verifies that it holds this run, and locks it for the block.

        Args:
            config: The settings and data that identify the run, as JSON values.

        Raises:
            ValueError: If the folder holds another run or other files, or is in use; nothing is
                written.
            OSError: If the folder cannot be written to.
        """
        self._compare(config)
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.path / ".lock", timeout=0):
                self._compare(config)
                # Remove a killed process's partial files, `.name.suffix.random`.
                for partial in self.path.glob(".*.*.*"):
                    partial.unlink()
                if not self.config.exists():
                    self.write_json(self.config, config)
                yield
        except Timeout as error:
            raise ValueError(f"{self.path}: another process is working on this run") from error

    def _compare(self, config: Mapping[str, Any]) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path}: this is a file; expected a run's folder")
        if not self.config.exists():
            if others := [path.name for path in self.path.glob("[!.]*")]:
                raise ValueError(
                    f"{self.path}: the folder holds {others[0]} and no run; choose a new folder"
                )
            return
        found = read_config(self.path)
        for group in ("settings", "data"):
            wanted, present = config[group], found.get(group, {})
            for name in {**wanted, **present}:
                if wanted.get(name) != present.get(name):
                    raise ValueError(
                        f"{self.path}: the folder holds a run with other {group}: its {name} is "
                        f"{present.get(name)!r}, not {wanted.get(name)!r}; choose a new folder"
                    )

    def write_json(self, path: Path, value: Any) -> None:
        """Writes a value as indented JSON."""
        self.write_text(path, json.dumps(value, indent=2) + "\n")

    def write_text(self, path: Path, text: str) -> None:
        """Writes text as UTF-8."""
        with replacing(path) as file:
            file.write(text.encode())

    def write_table(self, path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes records as CSV with every column that any of them has."""
        columns = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        self.write_text(path, text.getvalue())

    def write_model(self, model: Any) -> None:
        """Writes the model to `best.keras`."""
        temporary = self.path / f".{self.best.name}.{os.getpid()}.keras"
        try:
            model.save(temporary)
            os.replace(temporary, self.best)
        finally:
            temporary.unlink(missing_ok=True)


def read_config(folder: Path) -> dict[str, Any]:
    """Reads a run's `config.json`.

    Raises:
        ValueError: If the file is not the configuration of a run.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not the configuration of a run ({error})") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path}: not the configuration of a run")
    return config
