"""Predicts any number of images into one Parquet file, part by part; a killed job can resume.

While the job is unfinished, the folder `predictions.parquet.parts` beside `predictions.parquet`
contains `job.json`, which describes the job; `pictures.parquet`, which lists the images in order;
and for each finished part a file `part-….parquet`, written whole or not at all.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from keras_effnets.export.runtimes import require
from keras_effnets.prediction.predictor import Predictor
from weights_tools.formats.atomic import replacing

if TYPE_CHECKING:
    import pyarrow as pa

PART = 4096
"""Images per part: the most work that a kill can lose."""


@dataclass(frozen=True, slots=True)
class Job:
    """The description of a job; an unfinished job resumes only with the same one.

    Attributes:
        pictures: The folders, files and patterns of images.
        model: A digest that identifies the model.
        top: The most classes to name per image.
        part: Images per part.
    """

    pictures: tuple[str, ...]
    model: str
    top: int = 5
    part: int = PART


class Parts:
    """The folder of an unfinished job.

    Args:
        out: The Parquet file to write.
        job: The job's description.
        paths: Returns the images in order; not called if an earlier run has listed them.

    Raises:
        ImportError: pyarrow is not installed.
        ValueError: `out` does not end in .parquet, or another job's parts are in the folder.
        FileNotFoundError: The parent folder of `out` does not exist.
    """

    def __init__(self, out: Path, job: Job, paths: Callable[[], Iterable[Path]]) -> None:
        require("pyarrow", extra="parquet")
        import pyarrow.parquet as pq

        if out.suffix.lower() != ".parquet":
            raise ValueError(f"--out {str(out)!r}: expected a path ending in .parquet")
        if not out.parent.is_dir():
            raise FileNotFoundError(f"--out {str(out)!r}: there is no folder {out.parent}")
        self.out = out
        self.job = job
        self.folder = out.with_name(f"{out.name}.parts")
        self._listing = self.folder / "pictures.parquet"
        self._begin(paths)
        self.images = int(pq.read_metadata(self._listing).num_rows)

    def _begin(self, paths: Callable[[], Iterable[Path]]) -> None:
        file = self.folder / "job.json"
        content = json.dumps(dataclasses.asdict(self.job), indent=1)
        if file.is_file() and file.read_text("utf-8") != content:
            raise ValueError(
                f"{self.folder} holds parts of another job (other images, another model or another "
                "--top): finish that job, or remove the folder"
            )
        self.folder.mkdir(exist_ok=True)
        try:
            if not self._listing.is_file():
                self._list(paths())
            with replacing(file) as stream:
                stream.write(content.encode())
        except (OSError, ValueError):  # a job without images leaves no folder
            if not file.is_file():
                shutil.rmtree(self.folder)
            raise

    def _list(self, paths: Iterable[Path]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema([("path", pa.binary())])  # a file name need not be UTF-8
        remaining = iter(paths)
        with replacing(self._listing) as file, pq.ParquetWriter(file, schema) as writer:
            while group := [bytes(path) for path in islice(remaining, self.job.part)]:
                # One row group per part, so that each part can be read alone.
                writer.write_table(pa.table({"path": group}, schema), self.job.part)

    def _numbers(self) -> range:
        return range(-(-self.images // self.job.part))

    def missing(self) -> list[int]:
        """Returns the numbers of the unfinished parts."""
        return [number for number in self._numbers() if not self.path(number).is_file()]

    def size(self, number: int) -> int:
        """Returns the number of images in a part."""
        return min(self.job.part, self.images - number * self.job.part)

    def path(self, number: int) -> Path:
        """Returns the path of a part's file."""
        return self.folder / f"part-{number:06}.parquet"

    def make(self, number: int, predictor: Predictor, advance: Callable[[], None]) -> None:
        """Predicts the images of one part and writes its file."""
        import pyarrow as pa
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
            pq.write_table(pa.Table.from_pylist(rows, schema()), file)

    def finish(self) -> int:
        """Joins the parts into one file and removes them.

        Returns:
            The number of unreadable images.
        """
        import pyarrow.parquet as pq

        broken = 0
        with replacing(self.out) as file, pq.ParquetWriter(file, schema()) as writer:
            for number in self._numbers():
                part = pq.read_table(self.path(number))
                broken += part.num_rows - part.column("error").null_count
                writer.write_table(part)
        shutil.rmtree(self.folder)
        return broken


def schema() -> pa.Schema:
    """Returns the file's columns: each image's best class and all named classes, or its error."""
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
    """Yields the errors of unreadable images, from the finished file."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(out) as file:
        for batch in file.iter_batches(columns=["error"]):
            yield from (str(error) for error in batch.column(0).drop_null().to_pylist())


def _text(name: str) -> str:
    """Returns a file name as UTF-8 for Parquet, with undecodable bytes escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
