"""How well a trained run reads real plates: character error rate and whole plates, with intervals.

    python benchmarks/real_plates.py RUN_DIR PLATES_DIR [--split val] [--region IR]

PLATES_DIR holds pictures and a labels.csv with the columns file, text, split and region, as for
data=ocr_folder.
"""

import argparse
import csv
import json
import time
from pathlib import Path

from runner.build.inference import load_reader
from runner.metrics.text import CharacterErrorRate, WholeTextAccuracy
from runner.reports.reliability import wilson_interval


def main() -> None:
    """Read the pictures of one split and print one line for people and one of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("plates_dir", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--region", default="IR")
    arguments = parser.parse_args()
    labels = read_labels(arguments.plates_dir, arguments.split, arguments.region)
    reader = load_reader(arguments.run_dir)
    start = time.perf_counter()
    read = {row["file"]: str(row["text"]) for row in reader.read(labels)}
    seconds = time.perf_counter() - start
    report([(read.get(str(file), ""), text) for file, text in labels.items()], seconds)


def read_labels(folder: Path, split: str, region: str) -> dict[Path, str]:
    """Return the text of each picture of the split."""
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    return {folder / row["file"]: row["text"] for row in rows if row["region"] == region}


def report(pairs: list[tuple[str, str]], seconds: float) -> None:
    """Print both metrics of (read, right) pairs, and how fast they were read."""
    errors, whole = CharacterErrorRate(), WholeTextAccuracy()
    read, right = zip(*pairs, strict=True)
    errors.update(read, right)
    whole.update(read, right)
    low, high = wilson_interval(round(whole.compute() * len(pairs)), len(pairs))
    print(
        f"{len(pairs)} plates: character error rate {errors.compute():.2%}, whole plates "
        f"{whole.compute():.1%} (95% interval {low:.1%} to {high:.1%}), "
        f"{len(pairs) / seconds:.0f} pictures a second"
    )
    print(json.dumps({"plates": len(pairs), "cer": errors.compute(), "whole": whole.compute()}))


if __name__ == "__main__":
    main()
