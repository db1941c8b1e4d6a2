"""`TextRules`: from the text of a label to the text a model learns; the same for every source."""

from dataclasses import dataclass

from runner.data.plates.texts import reverse_digit_groups


@dataclass(frozen=True, kw_only=True)
class TextRules:
    """What a target text may hold and how it is turned before learning.

    `reverse_digits` turns each run of digits round, for labels that store numbers in the order
    opposite to the letters; predictions come in the turned order too. `max_length` counts symbols
    (None: no limit).
    """

    alphabet: str
    reverse_digits: bool = False
    max_length: int | None = None

    def __post_init__(self) -> None:
        repeated = sorted({symbol for symbol in self.alphabet if self.alphabet.count(symbol) > 1})
        if not self.alphabet or repeated:
            reason = f"{' '.join(repeated)} stands in it twice" if repeated else "it is empty"
            raise ValueError(f"alphabet must hold every symbol once, but {reason}")

    def apply(self, text: str) -> str:
        """Return the text to learn; raises ValueError with the reason if `text` breaks a rule."""
        if not text:
            raise ValueError("the text is empty")
        unknown = sorted(set(text) - set(self.alphabet))
        if unknown:
            raise ValueError(f"text '{text}' holds {_named(unknown)}, not in data.alphabet")
        if self.max_length is not None and len(text) > self.max_length:
            raise ValueError(
                f"text '{text}' has {len(text)} symbols, max_length is {self.max_length}"
            )
        return reverse_digit_groups(text) if self.reverse_digits else text


def _named(symbols: list[str]) -> str:
    """Return the symbols with their code points: look-alikes differ in nothing else."""
    return ", ".join(f"'{symbol}' (U+{ord(symbol):04X})" for symbol in symbols)
