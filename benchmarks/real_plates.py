"""How well a trained run reads real plates: character error rate and whole plates, with intervals.

    python benchmarks/real_plates.py RUN_DIR PLATES_DIR [--split val] [--region IR]
    python benchmarks/real_plates.py RUN_DIR PLATES_DIR --beam-width 8 --grammar DDLDDDDD

PLATES_DIR holds pictures and a labels.csv with the columns file, text, split and region, as for
data=ocr_folder. The run's own decoder reads, and its confidences are judged, unless --beam-width or
--grammar (once for each pattern; any: no grammar) name another. Each picture is read twice, and the
second time counts: no start-up is in the speed.
"""

import argparse
import csv
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner.build.trained.inference import Reader, load_reader
from runner.metrics.calibration import UNCALIBRATED
from runner.metrics.text import CharacterErrorRate, WholeTextAccuracy
from runner.reports.reliability import reliability_of, wilson_interval
from runner.tasks.ctc import CTC


@dataclass(frozen=True)
class Readings:
    """What was read, what is right, and the confidences: the model's own and calibrated ones."""

    texts: Sequence[str]
    targets: Sequence[str]
    own: Sequence[float]
    calibrated: Sequence[float]
    seconds: float


def main() -> None:
    """Read the pictures of one split and print a few lines for people and one of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("plates_dir", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--region", default="IR")
    parser.add_argument("--beam-width", type=int)
    parser.add_argument("--grammar", action="append")
    arguments = parser.parse_args()
    labels = read_labels(arguments.plates_dir, arguments.split, arguments.region)
    reader = load_reader(arguments.run_dir)
    if arguments.beam_width is not None or arguments.grammar is not None:
        reader = with_decoder(reader, arguments.beam_width or 1, arguments.grammar)
    report(read_all(reader, labels), is_calibrated=reader.calibration is not UNCALIBRATED)


def read_labels(folder: Path, split: str, region: str) -> dict[Path, str]:
    """Return the text of each picture of the split."""
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    return {folder / row["file"]: row["text"] for row in rows if row["region"] == region}


def with_decoder(reader: Reader, beam_width: int, patterns: list[str] | None) -> Reader:
    """Return the reader with another decoder, of which the run has learned no calibration."""
    assert isinstance(reader.task, CTC)
    grammar = None if patterns in (None, ["any"]) else patterns
    task = CTC(reader.task.alphabet, beam_width=beam_width, grammar=grammar)
    return replace(reader, task=task, calibration=UNCALIBRATED)


def read_all(reader: Reader, labels: dict[Path, str]) -> Readings:
    """Read every picture; one that cannot be read counts as an empty text."""
    plain = replace(reader, calibration=UNCALIBRATED)
    list(plain.read(labels))
    start = time.perf_counter()
    read = {str(row["file"]): row for row in plain.read(labels)}
    seconds = time.perf_counter() - start
    rows = [read.get(str(file), {"text": "", "confidence": 0.0}) for file in labels]
    own = [float(row["confidence"]) for row in rows]
    texts = [str(row["text"]) for row in rows]
    return Readings(texts, list(labels.values()), own, reader.calibration(own), seconds)


def report(readings: Readings, *, is_calibrated: bool) -> None:
    """Print both metrics, how fast was read, and how far the confidences can be trusted."""
    errors, whole = CharacterErrorRate(), WholeTextAccuracy()
    errors.update(readings.texts, readings.targets)
    whole.update(readings.texts, readings.targets)
    rights = [text == target for text, target in zip(readings.texts, readings.targets, strict=True)]
    count, right = len(rights), sum(rights)
    low, high = wilson_interval(right, count)
    print(
        f"{count} plates: character error rate {errors.compute():.2%}, whole plates "
        f"{right / count:.1%} (95% interval {low:.1%} to {high:.1%}), "
        f"{count / readings.seconds:.0f} pictures a second"
    )
    figures = {"plates": count, "cer": errors.compute(), "whole": whole.compute()}
    kinds = {"own": readings.own} | ({"calibrated": readings.calibrated} if is_calibrated else {})
    for name, confidences in kinds.items():
        judged = reliability_of(confidences, rights)
        mean = sum(confidences) / count
        print(
            f"{name} confidence: {mean:.1%} in the mean, calibration error {judged.ece:.2%}, "
            f"Brier score {judged.brier:.4f}"
        )
        figures |= {f"{name}_ece": judged.ece, f"{name}_brier": judged.brier}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
