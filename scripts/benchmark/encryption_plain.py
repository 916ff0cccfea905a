"""One round of plain float32 updates, step by step: the least that a federation can send.

The steps have the same names as in the encrypted round, so that the table can set them side by
side: "seal" copies the model into bytes, "add" adds it with its weight, "finish" copies the mean
into bytes, "open" reads it.
"""

import json
import sys
from pathlib import Path

import numpy as np

from scripts.benchmark.meter.steps import Steps


def main(folder: Path) -> None:
    """Do every party's work once, and write `mean.npy` and `result.json`.

    folder: holds the work that `encryption_study.write_work` has made.
    """
    cases = json.loads((folder / "work.json").read_text(encoding="utf-8"))["cases"]
    models = np.load(folder / "models.npy")
    steps, uploads, total = Steps(), [], np.zeros(models.shape[1], np.float32)
    for model in models:
        with steps.step("seal"):
            uploads.append(model.tobytes())
    for upload, count in zip(uploads, cases, strict=True):
        with steps.step("add"):
            total += np.float32(count / sum(cases)) * np.frombuffer(upload, np.float32)
    with steps.step("finish"):
        down = total.tobytes()
    with steps.step("open"):
        mean = np.frombuffer(down, np.float32).copy()
    np.save(folder / "mean.npy", mean)
    result = {"up": len(uploads[0]), "down": len(down), "steps": steps.figures}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
