"""`Predictor` and exported models against keras.applications, torchvision and each other.

The sections can be run separately: `latency` (float32, batch size 1, against keras.applications in
a compiled tf.function, torchvision eager and torch.compile), `precision` (bfloat16 or int8 against
that tf.function), `throughput` (float32, batch size 16) and `int8` (LiteRT int8 against float32:
time, size and, with `--pictures` and `--calibration`, the accuracy of EfficientNet-Lite0 with its
real weights). All jobs of a comparison take turns on equal images with the same number of threads.
Those of `latency` and `throughput` each have their own process, because an engine's idle threads
slow down the next one. Ours is the engine that `Predictor` chooses; its float32 outputs are first
compared with the Keras model's.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads of one engine must not slow the next

import keras
import numpy as np
import tensorflow as tf
from measure import alternate, machine

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from small_networks import enliven

import keras_effnets
from keras_effnets.analysis.benchmark import benchmark, contenders
from keras_effnets.export import export_litert
from keras_effnets.export.parity import compare, probe_images, reference_outputs
from keras_effnets.export.runtimes import LiteRT, has_bfloat16

# torchvision's operators do not load with every torch version, and its networks need none.
SHIM = """
import sys
if any('"who": "torchvision"' in each for each in sys.orig_argv):
    from torchvision_import import import_torchvision
    import_torchvision()
"""
SECTIONS = ("latency", "precision", "throughput", "int8")
NETWORKS = {
    "MobileNetV2": (keras.applications.mobilenet_v2, "mobilenet_v2"),
    "EfficientNetB0": (keras.applications.efficientnet, "efficientnet_b0"),
    "ResNet50": (keras.applications.resnet, "resnet50"),
    "DenseNet121": (keras.applications.densenet, "densenet121"),
}
AIMS = {
    ("latency", "keras.applications"): (4, 4, 2, 1.2),
    ("latency", "torchvision"): (3, 3, 1.5, 1.5),
    ("latency", "torch.compile"): (2, 2, 1.3, 1.3),
    ("precision", "keras.applications"): (4, 4, 4, 4),
    ("throughput", "the better"): (1.5, 1.5, None, None),
}
"""The target time ratios, in the order of `NETWORKS`."""


def living(name: str, pixels: np.ndarray) -> keras.Model:
    """Builds our network with realistic statistics and logits of standard deviation 3."""
    keras.utils.set_random_seed(1)
    model = getattr(keras_effnets, name)(weights=None)
    enliven(model)
    head = model.get_layer("classifier")
    features = keras.Model(model.input, head.input)(pixels, training=False).numpy()
    kernel = next(weight for weight in head.weights if weight.path.endswith("kernel"))
    spread = (features.reshape(len(pixels), -1) @ kernel.numpy()).std()
    kernel.assign(kernel.numpy() * (3 / spread))
    return model


def applications(name: str, pixels: np.ndarray):
    """keras.applications' network as a compiled tf.function, pixels to probabilities."""
    module, _ = NETWORKS[name]
    model = getattr(module, name)(weights=None)

    @tf.function
    def forward(x):
        return model(module.preprocess_input(x), training=False)

    taken = tf.constant(pixels)
    return lambda: forward(taken).numpy()


def ratios(section: str, name: str, seconds: dict, ours: str) -> dict:
    """Prints and returns milliseconds and the peers' time relative to ours."""
    times = {job: 1e3 * statistics.median(values) for job, values in seconds.items()}
    found = {
        peer: statistics.median(b / a for a, b in zip(seconds[ours], values, strict=True))
        for peer, values in seconds.items()
        if peer != ours
    }
    if section == "throughput":
        found = {"the better": min(found.values())}
    index = list(NETWORKS).index(name) if name in NETWORKS else None
    aims = {
        peer: AIMS[section, peer][index]
        for peer in found
        if index is not None and (section, peer) in AIMS
    }
    print(f"{section}, {name}: " + ", ".join(f"{job} {ms:.2f} ms" for job, ms in times.items()))
    for peer, ratio in found.items():
        aim = f" (target {aims[peer]})" if aims.get(peer) else ""
        print(f"    {ratio:.2f} times as fast as {peer}{aim}", flush=True)
    return {"milliseconds": times, "ratios": found, "aims": aims}


def ours(model: keras.Model, pixels: np.ndarray, threads: int, **options):
    """A job of the fastest engine, its name, and its parity with the model."""
    predictor = keras_effnets.Predictor(model, threads=threads, **options)
    found = predictor.scores(pixels)
    parity = compare(reference_outputs(model, pixels), found)
    print(f"    {model.name} by {predictor.engine} in {predictor.precision}: {parity}")
    return (lambda: predictor.scores(pixels)), predictor.engine, parity


def forward(section: str, names: list[str], batch: int, runs: int, threads: int) -> dict:
    """The sections `latency` and `throughput`."""
    peers = ["keras", "torchvision", "torch.compile"]
    if section == "throughput":
        peers.remove("torchvision")
    found = {}
    for name in names:
        pixels = probe_images((224, 224, 3), batch)
        _, engine, parity = ours(living(name, pixels), pixels, threads)
        if parity.max_difference > 1e-4:
            raise SystemExit(f"{name} by {engine} is not float32: {parity}")
        field = contenders(NETWORKS[name][1], [engine], peers)
        results = benchmark(field, batch=batch, runs=runs, threads=threads)
        if failed := [f"{each.contender}: {each.error}" for each in results if each.error]:
            raise SystemExit("; ".join(failed))
        called = dict(zip(field, ("ours", "keras.applications", *peers[1:]), strict=True))
        seconds = {called[each.contender]: each.seconds for each in results}
        measured = ratios(section, name, seconds, "ours")
        found[name] = {
            "engine": engine,
            "parity": parity.max_difference,
            "batch": batch,
            **measured,
        }
    return found


def precision(names: list[str], runs: int, threads: int) -> dict:
    """bfloat16 if the CPU supports it, and int8, against the compiled tf.function."""
    pixels = probe_images((224, 224, 3), 1)
    examples = probe_images((224, 224, 3), 16)
    found = {}
    for name in names:
        model = living(name, pixels)
        jobs, engines = {}, {}
        if has_bfloat16():
            jobs["bfloat16"], engines["bfloat16"], _ = ours(
                model, pixels, threads, precision="bfloat16"
            )
        jobs["int8"], engines["int8"], _ = ours(
            model, pixels, threads, precision="int8", calibration=examples
        )
        jobs["keras.applications"] = applications(name, pixels)
        seconds = alternate(jobs, runs=runs, warm_up=3)
        best = {}
        for kind in engines:
            pair = {each: seconds[each] for each in (kind, "keras.applications")}
            best[kind] = ratios("precision", name, pair, kind)
        found[name] = {"engines": engines, **best}
    return found


def int8(pictures: Path | None, calibration: Path | None, runs: int, threads: int) -> dict:
    """LiteRT int8 against float32: time, size and, given labelled images, accuracy."""
    found = {}
    for name in ("MobileNetV2", "EfficientNetLite0"):
        real = name == "EfficientNetLite0"
        pixels = probe_images((224, 224, 3), 1)
        model = keras_effnets.EfficientNetLite0() if real else living(name, pixels)
        labelled = pictures if real else None
        examples = calibration if real and calibration else probe_images((224, 224, 3), 16)
        with tempfile.TemporaryDirectory() as folder:
            plain, rounded = Path(folder) / "f.tflite", Path(folder) / "q.tflite"
            before = export_litert(model, plain)
            after = export_litert(model, rounded, "int8", calibration=examples, labelled=labelled)
            sessions = {"float32": LiteRT(plain, threads), "int8": LiteRT(rounded, threads)}
            jobs = {kind: lambda s=s, x=pixels: s.scores(x) for kind, s in sessions.items()}
            measured = ratios("int8", name, alternate(jobs, runs=runs, warm_up=3), "int8")
        cost = after.rounding
        size = after.bytes / before.bytes
        print(f"    {size:.3f} of the size; {cost.pictures} calibration images")
        found[name] = {"size": size, **measured}
        if cost.labelled:
            accuracy = {
                key: getattr(cost, key)
                for key in ("labelled", "top1_before", "top1_after", "labelled_agreement")
            }
            found[name] |= {**accuracy, "kl_divergence": cost.kl_divergence}
            print(f"    {accuracy}, KL divergence {cost.kl_divergence:.4f}")
    return found


def draw(results: dict, path: Path) -> None:
    """Draws a bar for each ratio with a tick at its target."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = []
    for section in SECTIONS:
        for name, measured in results.get(section, {}).items():
            levels = (
                {kind: measured[kind] for kind in measured["engines"]}
                if section == "precision"
                else {"": measured}
            )
            for kind, level in levels.items():
                for peer, ratio in level["ratios"].items():
                    label = f"{section} {kind}: {name} against {peer}".replace(" :", ":")
                    rows.append((label, ratio, level["aims"].get(peer)))
    figure, axes = plt.subplots(figsize=(9, 1 + 0.32 * len(rows)), layout="constrained")
    places = np.arange(len(rows))[::-1]
    axes.barh(places, [ratio for _, ratio, _ in rows], color="#4477aa", height=0.6)
    for place, (_, ratio, aim) in zip(places, rows, strict=True):
        axes.text(max(ratio, aim or 0), place, f"  {ratio:.2f}", va="center", fontsize=8)
        if aim:
            axes.plot([aim, aim], [place - 0.4, place + 0.4], color="#cc3311", linewidth=2)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(places, [label for label, *_ in rows], fontsize=8)
    axes.set_xlabel("times as fast (red: target)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", default=SECTIONS, help=", ".join(SECTIONS))
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--runs", type=int, default=31)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pictures", type=Path, help="a labelled folder, for int8")
    parser.add_argument("--calibration", type=Path, help="a folder of other images, for int8")
    parser.add_argument("--out", type=Path, help="a folder for deploy.json and deploy.png")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"sections {sorted(unknown)}: expected some of {SECTIONS}")
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    runs, threads, names = options.runs, options.threads, options.networks
    print(f"{machine()}; {threads} threads each, {runs} runs in turns")
    results: dict = {"machine": machine(), "threads": threads, "runs": runs}
    # A temporary cache, so that the choice of engines is not kept in the user's.
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "sitecustomize.py").write_text(SHIM)
        os.environ["PYTHONPATH"] = f"{home}:{Path(__file__).parents[1] / 'tests'}"
        os.environ["KERAS_EFFNETS_HOME"] = home
        if "latency" in options.sections:
            results["latency"] = forward("latency", names, 1, runs, threads)
        if "precision" in options.sections:
            results["precision"] = precision(names, runs, threads)
        if "throughput" in options.sections:
            results["throughput"] = forward("throughput", names, 16, max(5, runs // 4), threads)
        if "int8" in options.sections:
            results["int8"] = int8(options.pictures, options.calibration, runs, threads)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "deploy.json").write_text(json.dumps(results, indent=1), "utf-8")
        draw(results, options.out / "deploy.png")


if __name__ == "__main__":
    main()
