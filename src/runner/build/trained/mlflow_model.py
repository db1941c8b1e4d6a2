"""Load a model that runner has logged to MLflow, for `mlflow.pyfunc` and `mlflow models serve`.

    model = mlflow.pyfunc.load_model("runs:/RUN_ID/model")
    model.predict(pandas.DataFrame({"image": [...]}))        # columns text, confidence

An image is a text (base64 of a picture file, or such a data URL), the bytes of one, a
`pathlib.Path`, a picture of Pillow, or an array of uint8 (height, width[, 3]). A text is never
taken for the name of a file: whoever asks a server must not choose what it opens.
"""

import base64
import binascii
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from PIL import Image

from runner.build.trained.inference import Reader, load_reader
from runner.data.pictures import load_picture
from runner.errors import DataError
from runner.inference.pictures import Shown, load_source

COLUMN = "image"


def _load_pyfunc(path: str, model_config: dict[str, Any] | None = None) -> "ModelOfPictures":
    """Return the model in the folder `path`; `model_config` may say `device` and `trust`."""
    wanted = {name: value for name, value in (model_config or {}).items() if value}
    return ModelOfPictures(load_reader(Path(path), **wanted))


class ModelOfPictures:
    """What MLflow calls: a table of pictures in, a table of texts out."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pandas.DataFrame:  # noqa: ARG002
        """Return a table with text and confidence (0-1) for each row of the column `image`.

        Raises DataError, which names the row, for what is no picture.
        """
        given = model_input[COLUMN] if isinstance(model_input, pandas.DataFrame) else model_input
        pictures = [picture_of(each, row) for row, each in enumerate(given)]
        readings = list(self._reader.read(pictures)) if pictures else []
        columns = {name: [reading[name] for reading in readings] for name in ("text", "confidence")}
        return pandas.DataFrame(columns)


def picture_of(given: Any, row: int) -> Image.Image:
    """Return the picture behind one input, upright; DataError, which names `row`, for none.

    See the top of this file for what it takes; an array may also come as nested lists, from JSON.
    """
    name = f"in row {row}"
    if isinstance(given, Path):
        return load_picture(given)
    if isinstance(given, bytes | bytearray):
        return load_picture(io.BytesIO(given), name)
    if isinstance(given, str):
        return load_picture(io.BytesIO(_decoded(given, name)), name)
    if isinstance(given, list):
        given = _whole_numbers(given)
    if isinstance(given, Image.Image | np.ndarray):
        return load_source(Shown(row, given))
    raise DataError(f"picture {name} is a {type(given).__name__}: give bytes, a text or an array")


def _whole_numbers(given: list[Any]) -> np.ndarray:
    """Return nested lists as an array, of uint8 if that holds it."""
    try:
        array = np.asarray(given)
    except ValueError:  # rows of different lengths
        return np.empty(0)
    fits = array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= 255
    return array.astype(np.uint8) if fits else array


def _decoded(text: str, name: str) -> bytes:
    encoded = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode("".join(encoded.split()), validate=True)
    except binascii.Error as error:
        raise DataError(
            f"picture {name} is a text, but no picture in base64 ({error}); give the name of a "
            "file as pathlib.Path"
        ) from error
