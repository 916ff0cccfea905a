"""One encrypted round of this kit, step by step: `python -m … FOLDER BITS`.

Everything that a site does to its update is measured: fixed point, MACs, masks, encryption, the
signed report, and the file on disk before the first byte leaves. The aggregator's part includes
its checks and the files that let it resume.
"""

import json
import sys
from pathlib import Path

import numpy as np

from scripts.benchmark.meter.steps import Steps
from scripts.local.one_process import Federation


def main(folder: Path, bits: int) -> None:
    """Do every party's work once, and write `mean.npy` and `result.json`.

    folder: holds the work that `encryption_study.write_work` has made.
    bits: of a field of the sum.
    """
    work = json.loads((folder / "work.json").read_text(encoding="utf-8"))
    models = np.load(folder / "models.npy", mmap_mode="r")
    initial = np.load(folder / "initial.npy")
    cases = {f"s{number}": count for number, count in enumerate(work["cases"])}
    sizes = [int(np.prod(shape)) for shape in work["shapes"]]
    federation = Federation(
        folder / "ours", cases, initial, sizes, bits=bits, most_cases=max(cases.values())
    )
    federation.gather()
    steps, uploads = Steps(), {}
    for model, name in zip(models, cases, strict=True):
        site = federation.sites[name]
        federation.open(name)
        site.start()
        model = np.array(model)
        with steps.step("seal"):
            uploads[name] = site.seal(model, cases[name])
            site.keep(uploads[name])
        site.close()
    for name, upload in uploads.items():
        with steps.step("add"):
            federation.aggregator.take(name, 0, upload)
    with steps.step("finish"):
        void = federation.aggregator.close(cases)
        federation.aggregator.advance()
    assert void is None, void
    sent = {name: len(upload) for name, upload in uploads.items()}
    uploads.clear()
    site = federation.sites["s0"]
    site.start()
    down = federation.aggregator.model(1)
    with steps.step("open"):
        mean = site.open(down)
    federation.close()
    np.save(folder / "mean.npy", mean)
    result = {"up": max(sent.values()), "down": len(down), "steps": steps.figures}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
