"""`keras-effnets benchmark`: the speed of networks on this machine, next to other libraries."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from keras_effnets.analysis.benchmark import Limits, Result, benchmark, contenders, machine_limits
from keras_effnets.analysis.benchmark.chart import check_chart, draw
from keras_effnets.analysis.benchmark.contest import PEERS
from keras_effnets.commands.formatting import NONE
from keras_effnets.commands.terminal import column_table, literal, progress, show
from keras_effnets.export.runtimes import ENGINES, cores, processor
from keras_effnets.models.registry import resolve
from weights_tools.formats.terminal import AsJson, complain, show_json


def benchmark_command(
    names: Annotated[
        list[str], typer.Argument(help="Models, families or shell patterns, as for `compare`.")
    ],
    batch: Annotated[str, typer.Option(help="Batch sizes, separated by commas.")] = "1",
    engine: Annotated[
        str, typer.Option(help=f"all, or separated by commas: keras, {', '.join(ENGINES)}.")
    ] = "tensorflow",
    against: Annotated[
        str, typer.Option(help=f"Other libraries, separated by commas: {', '.join(PEERS)}.")
    ] = "",
    train: Annotated[bool, typer.Option("--train", help="Time training steps.")] = False,
    runs: Annotated[int, typer.Option(min=3, help="Timed runs of each contender.")] = 15,
    side: Annotated[
        int | None, typer.Option(min=1, help="Input size in pixels. Default: each network's own.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads. Default: one per core.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also draw a chart, as a .png or .svg file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Time networks with random weights on images in memory.

    Each contender runs in its own process, and they take turns. A ratio compares a contender with
    the first one of this package, turn by turn. Run nothing else meanwhile. Exits 1 if a contender
    failed.
    """
    sizes = _numbers(batch)
    count = cores(threads)
    if out is not None:
        check_chart(out)
    fields = {
        name: contenders(name, _words(engine), _words(against), train=train)
        for name in resolve(names)
    }
    with progress("Machine", 1) as advance:
        limits = machine_limits(count)
        advance()
    results: list[Result] = []
    for name, field in fields.items():
        for size in sizes:
            with progress(f"{name}, batch {size}", runs) as advance:
                results += benchmark(
                    field,
                    batch=size,
                    runs=runs,
                    side=side,
                    threads=count,
                    train=train,
                    limits=limits,
                    progress=advance,
                )
    ran = [each for each in results if each.seconds]
    for each in results:
        if each.error:
            complain(f"{each.contender.name}: {each.contender}: {each.error}")
    machine = _machine(limits)
    if as_json:
        values = [_record(each) for each in results]
        show_json({"machine": machine, "limits": _limits(limits), "results": values})
    else:
        complain(machine)
        show(_table(ran))
    if out is not None and ran:
        draw(ran, machine, out)
        complain(f"drew {out}")
    if len(ran) < len(results):
        raise typer.Exit(1)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str) -> list[int]:
    words = _words(text)
    if not words or not all(word.isdecimal() and int(word) for word in words):
        raise ValueError(f"--batch {text!r}: expected positive numbers, separated by commas")
    return [int(word) for word in words]


def _machine(limits: Limits) -> str:
    versions = ", ".join(
        f"{package} {metadata.version(package)}" for package in ("keras", "tensorflow")
    )
    return (
        f"{processor()}, {limits.threads} of {os.cpu_count()} cores, {versions}; at most "
        f"{limits.multiply_adds_per_second / 1e9:.0f} G multiply-adds/s and "
        f"{limits.bytes_per_second / 1e9:.0f} GB/s"
    )


def _limits(limits: Limits) -> dict[str, float]:
    return {
        "threads": limits.threads,
        "multiply_adds_per_second": limits.multiply_adds_per_second,
        "bytes_per_second": limits.bytes_per_second,
    }


def _record(result: Result) -> dict[str, Any]:
    record: dict[str, Any] = {
        "model": result.contender.name,
        "library": result.contender.who,
        "engine": result.contender.engine,
        "batch": result.batch,
        "side": result.side,
        "train": result.train,
    }
    if result.error:
        return {**record, "error": result.error}
    return {
        **record,
        "median_seconds": result.median,
        "ratio": result.ratio,
        "peak_bytes": result.peak,
        "share_of_reachable": result.share or None,
        "seconds": list(result.seconds),
    }


def _table(results: list[Result]) -> Any:
    table = column_table(
        "Model", ">Batch", "Contender", ">ms", ">Range", ">Ratio", ">Of reachable", ">MB peak"
    )
    for each in results:
        low, high = (1e3 * choose(each.seconds) for choose in (min, max))
        table.add_row(
            literal(each.contender.name, "bold"),
            str(each.batch),
            literal(str(each.contender)),
            f"{1e3 * each.median:.1f}",
            f"{low:.1f} to {high:.1f}",
            f"{each.ratio:.2f}",
            f"{each.share:.0%}" if each.share else NONE,
            f"{each.peak / 1e6:,.0f}",
        )
    return table
