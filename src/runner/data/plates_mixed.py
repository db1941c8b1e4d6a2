"""`plates_mixed`: real plates and rendered ones learned together, measured on real ones alone."""

import random
from collections.abc import Collection, Mapping
from typing import Any

from runner.data.data import BatchAugmentation, Data, MapDataset, texts_of
from runner.data.labels import Wanted
from runner.data.ocr_folder import ocr_folder
from runner.data.pictures import Preprocessor
from runner.data.text_pictures import collate_text_pictures
from runner.errors import DataError

REAL_SPLITS: Mapping[str, Wanted | None] = {"train": "train", "evaluation": None, "test": "val"}


def plates_mixed(
    *,
    root: str,
    alphabet: str,
    preprocessor: Preprocessor,
    synthetic: Data,
    synthetic_fraction: float = 0.2,
    where: Mapping[str, Wanted | None] | None = None,
    splits: Mapping[str, Wanted | None] | None = None,
    holdout_fraction: float = 0.1,
    reverse_digits: bool = False,
    max_length: int | None = None,
    on_bad_sample: str = "error",
    augment: BatchAugmentation | None = None,
) -> Data:
    """Train on all real plates of `root` and on plates from the train split of `synthetic`.

    `synthetic_fraction` is the share of an epoch that is rendered; every epoch draws other rendered
    plates. Evaluation and test are real: by default a part of the real `train` held out by text, on
    which one may choose, and the real `val`, which one reports. The other arguments are those of
    `ocr_folder`. Raises DataError.
    """
    real = ocr_folder(
        root=root,
        alphabet=alphabet,
        preprocessor=preprocessor,
        where=where,
        splits={**REAL_SPLITS, **(splits or {})},
        holdout_fraction=holdout_fraction,
        reverse_digits=reverse_digits,
        max_length=max_length,
        on_bad_sample=on_bad_sample,
    )
    measured = [split for split in (real.evaluation, real.test) if split is not None]
    return Data(
        train=RealAndSynthetic(
            real.train,  # type: ignore[arg-type]
            synthetic.train,  # type: ignore[arg-type]
            synthetic_fraction=synthetic_fraction,
            excluded_texts={text for split in measured for text in texts_of(split)},
        ),
        evaluation=real.evaluation,
        test=real.test,
        collate=collate_text_pictures,
        augment=augment,
        preprocessor=preprocessor,
    )


class RealAndSynthetic:
    """Every real plate once an epoch, then random synthetic ones until they fill their share.

    Which synthetic plate stands at an index comes from Python's generator, which runner seeds by
    (seed, epoch, index). `texts` holds all that may come, so it is longer than an epoch. No
    synthetic plate has one of `excluded_texts`.
    """

    deterministic = False

    def __init__(
        self,
        real: MapDataset,
        synthetic: MapDataset,
        *,
        synthetic_fraction: float,
        excluded_texts: Collection[str] = (),
    ) -> None:
        if not 0.0 <= synthetic_fraction < 1.0:
            raise DataError(
                f"data.synthetic_fraction must be >= 0 and < 1, got {synthetic_fraction} "
                "(for rendered plates alone: data=plates_synthetic)"
            )
        self._real = real
        self._synthetic = synthetic
        self._pool = [
            index for index, text in enumerate(texts_of(synthetic)) if text not in excluded_texts
        ]
        wanted = len(real) * synthetic_fraction / (1.0 - synthetic_fraction)
        self._num_synthetic = round(wanted) if self._pool else 0
        if synthetic_fraction > 0 and not self._pool:
            raise DataError("data.synthetic has no train plates to draw from: see its train_size")
        usable = [texts_of(synthetic)[index] for index in self._pool]
        self.texts = [*texts_of(real), *(usable if self._num_synthetic else [])]

    def __len__(self) -> int:
        return len(self._real) + self._num_synthetic

    def __getitem__(self, index: int) -> Any:
        if index < len(self._real):
            return self._real[index]
        return self._synthetic[random.choice(self._pool)]

    @property
    def fingerprint(self) -> str:
        """Return a text that changes when the plates to draw from or their number do."""
        parts = [getattr(self._real, "fingerprint", ""), str(self._num_synthetic)]
        return "\n".join([*parts, *self.texts])
