"""How many pictures a second `predict` reads, and that it reads the same texts as `evaluate`.

    python benchmarks/predict.py RUN_DIR PLATES_DIR [--count 2000] [--batch-size 64]

RUN_DIR is a run of +experiment=plate_ocr_real, PLATES_DIR the folder that it learned from. The
pictures of its test split are repeated to so many, and read in batches of several sizes too: the
size of a batch is to change no text. Start-up is not in the speed.
"""

import argparse
import csv
import itertools
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import torch

from runner.build.trained.evaluating import Asked, evaluate_run
from runner.build.trained.inference import Reader, load_reader
from runner.data.pictures import find_pictures
from runner.inference.predict import predict_pictures
from runner.run.evaluations import PREDICTIONS

BATCH_SIZES = (1, 7, 100)


def main() -> int:
    """Print what was measured, for people and as JSON; exit code 1 if a text differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("plates_dir", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=64)
    arguments = parser.parse_args()
    expected = evaluated_texts(arguments.run_dir, arguments.plates_dir)
    reader = load_reader(arguments.run_dir)
    read(reader, expected, arguments.batch_size)  # the first pictures pay for the start
    files = list(itertools.islice(itertools.cycle(expected), arguments.count))
    start = time.perf_counter()
    texts = read(reader, files, arguments.batch_size)
    speed = len(texts) / (time.perf_counter() - start)
    different = sum(text != expected[file] for file, text in texts)
    by_size = {
        size: sum(text != expected[file] for file, text in read(reader, expected, size))
        for size in BATCH_SIZES
    }
    print(
        f"{len(texts):,} pictures, {speed:.0f} a second on {reader.device} with "
        f"{torch.get_num_threads()} threads; {different} texts differ from evaluate's; in batches "
        f"of {', '.join(map(str, by_size))}: {', '.join(map(str, by_size.values()))}"
    )
    figures = {"pictures": len(texts), "per_second": speed, "different": different}
    print(json.dumps(figures | {"different_by_batch_size": by_size}))
    return 1 if different or any(by_size.values()) else 0


def evaluated_texts(run: Path, plates: Path) -> dict[str, str]:
    """Return what `evaluate` reads in each picture of the test split."""
    done = evaluate_run(Asked(path=run, split="test", overrides=[f"data.root={plates}"]))
    with (done.folder / PREDICTIONS).open(encoding="utf-8", newline="") as file:
        return {row["sample"]: row["text"] for row in csv.DictReader(file)}


def read(reader: Reader, files: Iterable[str], batch_size: int) -> list[tuple[str, str]]:
    """Return what `predict` reads in each of `files`."""
    readings = predict_pictures(
        reader.model,
        reader.task,
        reader.preprocessor,
        find_pictures(map(Path, files)),
        device=reader.device,
        precision=reader.precision,
        calibration=reader.calibration,
        batch_size=batch_size,
    )
    return [(reading.file, reading.text) for reading in readings]


if __name__ == "__main__":
    sys.exit(main())
