"""`keras-effnets benchmark`: how fast networks are here, beside others."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from keras_effnets.analysis.benchmark import Limits, Result, benchmark, contenders, machine_limits
from keras_effnets.analysis.benchmark.chart import check_chart, draw
from keras_effnets.analysis.benchmark.contest import PEERS
from keras_effnets.commands.options import AsJson
from keras_effnets.commands.terminal import complain, listing, literal, progress, show, show_json
from keras_effnets.export.runtimes import ENGINES, cores, processor_name
from keras_effnets.models.registry import resolve


def benchmark_command(
    names: Annotated[
        list[str], typer.Argument(help="Models, families or shell patterns, as for `compare`.")
    ],
    batch: Annotated[str, typer.Option(help="Pictures at once: numbers with commas.")] = "1",
    engine: Annotated[
        str, typer.Option(help=f"all, or with commas: keras, {', '.join(ENGINES)}.")
    ] = "tensorflow",
    against: Annotated[
        str, typer.Option(help=f"Other libraries, with commas: {', '.join(PEERS)}.")
    ] = "",
    train: Annotated[bool, typer.Option("--train", help="Time steps of training.")] = False,
    runs: Annotated[int, typer.Option(min=3, help="Turns of each.")] = 15,
    side: Annotated[
        int | None, typer.Option(min=1, help="Of the pictures. Default: each network's own.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Default: one for each core.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also draw a chart: a .png or .svg.")] = None,
    as_json: AsJson = False,
) -> None:
    """Time networks with random weights, on pictures that are in memory.

    Every contender has a process of its own, and they take turns; ratios are to the first of ours,
    turn by turn. Run it while nothing else runs. Exits 1 if a contender failed.
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
        raise ValueError(f"--batch {text!r}: expected positive numbers with commas")
    return [int(word) for word in words]


def _machine(limits: Limits) -> str:
    versions = ", ".join(
        f"{package} {metadata.version(package)}" for package in ("keras", "tensorflow")
    )
    return (
        f"{processor_name()}, {limits.threads} of {os.cpu_count()} cores, {versions}; at most "
        f"{limits.multiply_adds_per_second / 1e9:.0f} G multiply-adds and "
        f"{limits.bytes_per_second / 1e9:.0f} GB a second"
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
    table = listing(
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
            f"{each.share:.0%}" if each.share else "-",
            f"{each.peak / 1e6:,.0f}",
        )
    return table
