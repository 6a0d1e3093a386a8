"""A folder of any size into one Parquet file, part by part: killed, it goes on where it was.

Beside `predictions.parquet` stands, while the job is unfinished, the folder
`predictions.parquet.parts`: `job.json` says what the job is, `pictures.parquet` lists the
pictures in their order, and each `part-….parquet` holds the predictions of some of them, written
whole or not at all.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_effnets.export.runtimes import require
from keras_effnets.prediction.predictor import Predictor
from weights_tools.formats.atomic import replacing

if TYPE_CHECKING:
    import pyarrow as pa

PART = 4096
"""Pictures of one part: what a kill loses at most."""


@dataclass(frozen=True, slots=True)
class Job:
    """What predictions are of: an unfinished job goes on only as what it was.

    Attributes:
        pictures: The folders, files and patterns that were asked for.
        model: What tells the model from others.
        top: Classes named, at most.
        part: Pictures of one part.
    """

    pictures: tuple[str, ...]
    model: str
    top: int = 5
    part: int = PART


class Parts:
    """The folder of an unfinished job.

    Args:
        out: The Parquet file to be.
        job: What it is to hold.
        paths: Called for the pictures, in their order, unless an earlier run listed them.

    Raises:
        ImportError: Without pyarrow.
        ValueError: If `out` ends otherwise, or another job's parts are there.
        FileNotFoundError: If there is no folder for `out`.
    """

    def __init__(self, out: Path, job: Job, paths: Callable[[], Iterable[Path]]) -> None:
        require("pyarrow", extra="parquet")
        if out.suffix.lower() != ".parquet":
            raise ValueError(f"--out {str(out)!r}: expected a path ending in .parquet")
        if not out.parent.is_dir():
            raise FileNotFoundError(f"--out {str(out)!r}: there is no folder {out.parent}")
        self.out = out
        self.job = job
        self.folder = out.with_name(f"{out.name}.parts")
        self._listing = self.folder / "pictures.parquet"
        self._begin(paths)
        self.pictures = self._count()

    def _begin(self, paths: Callable[[], Iterable[Path]]) -> None:
        described = self.folder / "job.json"
        told = json.dumps(dataclasses.asdict(self.job), indent=1)
        if described.is_file() and described.read_text("utf-8") != told:
            raise ValueError(
                f"{self.folder} holds parts of another job (other pictures, another model or "
                "--top): finish that, or remove the folder"
            )
        self.folder.mkdir(exist_ok=True)
        try:
            if not self._listing.is_file():
                self._list(paths())
            with replacing(described) as file:
                file.write(told.encode())
        except (OSError, ValueError):  # nothing to predict: nothing is left behind
            if not described.is_file():
                shutil.rmtree(self.folder)
            raise

    def _list(self, paths: Iterable[Path]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema([("path", pa.binary())])  # a name need not be UTF-8
        remaining = iter(paths)
        with replacing(self._listing) as file, pq.ParquetWriter(file, schema) as writer:
            while group := [bytes(path) for path in islice(remaining, self.job.part)]:
                # A row group is a part: reading one reads no other.
                writer.write_table(pa.table({"path": group}, schema), self.job.part)

    def _count(self) -> int:
        import pyarrow.parquet as pq

        return int(pq.read_metadata(self._listing).num_rows)

    def missing(self) -> list[int]:
        """The numbers of the parts that are still to be made."""
        return [n for n in range(-(-self.pictures // self.job.part)) if not self.path(n).is_file()]

    def size(self, number: int) -> int:
        """Pictures of a part."""
        return min(self.job.part, self.pictures - number * self.job.part)

    def path(self, number: int) -> Path:
        """Of a part's file."""
        return self.folder / f"part-{number:06}.parquet"

    def make(self, number: int, predictor: Predictor, advance: Callable[[], None]) -> None:
        """Predicts the pictures of one part, and writes it."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self._listing) as listing:
            names = listing.read_row_group(number).column("path").to_pylist()
        paths = [Path(name.decode("utf-8", "surrogateescape")) for name in names]
        rows = []
        for outcome in predictor.files(paths):
            named = [each._asdict() for each in predictor.named(outcome, self.job.top)]
            rows.append(
                {
                    "path": _text(str(outcome.path)),
                    "error": _text(outcome.error) or None,
                    **(named[0] if named else {"id": None, "name": None, "score": None}),
                    "predictions": named,
                }
            )
            advance()
        with replacing(self.path(number)) as file:
            pq.write_table(_table(rows), file)

    def finish(self) -> int:
        """Makes the one file of all parts, and removes them.

        Returns:
            How many pictures could not be read.
        """
        import pyarrow.parquet as pq

        broken = 0
        numbers = range(-(-self.pictures // self.job.part))
        with replacing(self.out) as file, pq.ParquetWriter(file, schema()) as writer:
            for number in numbers:
                part = pq.read_table(self.path(number))
                broken += part.num_rows - part.column("error").null_count
                writer.write_table(part)
        shutil.rmtree(self.folder)
        return broken


def schema() -> pa.Schema:
    """Of the file: each picture's first class, all that were asked for, or why there is none."""
    import pyarrow as pa

    best = [("id", pa.string()), ("name", pa.string()), ("score", pa.float32())]
    return pa.schema(
        [
            ("path", pa.string()),
            ("error", pa.string()),
            *best,
            ("predictions", pa.list_(pa.struct(best))),
        ]
    )


def errors(out: Path) -> Iterator[str]:
    """Why pictures could not be read, from the finished file."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(out) as file:
        for batch in file.iter_batches(columns=["error"]):
            yield from (str(error) for error in batch.column(0).drop_null().to_pylist())


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema())


def _text(name: str) -> str:
    """A file's name as Parquet takes it: bytes that are no UTF-8 are escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
