"""Two workers of a Ray cluster on this machine make the same table, in a separate process."""

import subprocess
import sys

import artifacts
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

SCRIPT = """
import sys
from pathlib import Path
import ray
from keras_effnets.images.folders import iterate_images
from keras_effnets.prediction.on_ray import predict_on_ray
from keras_effnets.prediction.to_parquet import Job, Parts

folder, out, model = sys.argv[1:]
ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False)
parts = Parts(Path(out), Job((folder,), "digest", 2, 8), lambda: iterate_images([folder]))
done = []
predict_on_ray(parts, model, {"engine": "litert", "threads": 1}, 2, done.append)
print("done", sum(done), "broken", parts.finish())
"""


@pytest.mark.full
def test_two_workers(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(30):
        noise = np.random.default_rng(number).integers(0, 40, (16, 20, 3))
        pixels = (noise + np.eye(3, dtype=int)[number % 3] * 200).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number:02}.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"no picture")
    model = tmp_path / "tiny.keras"
    artifacts.tiny().save(model)
    out = tmp_path / "p.parquet"
    script = tmp_path / "job.py"
    script.write_text(SCRIPT, "utf-8")
    done = subprocess.run(
        [sys.executable, script, tmp_path / "in", out, model],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "done 31 broken 1"
    rows = pq.read_table(out).to_pylist()
    assert [row["name"] for row in rows[:-1]] == [artifacts.LABELS[n % 3] for n in range(30)]
    assert "can't be read" in rows[-1]["error"]
