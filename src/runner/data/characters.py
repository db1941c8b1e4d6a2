"""`Characters`: texts to token numbers and back, one token a character."""

from collections.abc import Sequence
from typing import Any, Protocol

from runner.errors import DataError

PADDING, BEGIN, END = 0, 1, 2  # symbol i of the alphabet is token i + 3
NUM_SPECIAL = 3
_SHORT = 100  # characters


class Tokenizer(Protocol):
    """What turns texts into token numbers and back; those of `transformers` do, too."""

    pad_token_id: Any  # int; None in tokenizers that have no such token
    bos_token_id: Any
    eos_token_id: Any

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool) -> Any: ...


class Characters:
    """A token for each symbol of `alphabet`, after those for padding, begin and end (0, 1 and 2).

    The vocabulary has len(alphabet) + 3 tokens: `${vocabulary_size:ALPHABET}` in a config.
    """

    pad_token_id = PADDING
    bos_token_id = BEGIN
    eos_token_id = END

    def __init__(self, alphabet: str) -> None:
        repeated = sorted({symbol for symbol in alphabet if alphabet.count(symbol) > 1})
        if not alphabet or repeated:
            reason = f"{' '.join(repeated)} stands in it twice" if repeated else "it is empty"
            raise DataError(f"alphabet must hold every symbol once, but {reason}")
        self.alphabet = alphabet
        self._token_of = {symbol: NUM_SPECIAL + i for i, symbol in enumerate(alphabet)}

    def __len__(self) -> int:
        return NUM_SPECIAL + len(self.alphabet)

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        """Return the tokens of `text`, within begin and end if asked for; DataError if unknown."""
        try:
            tokens = [self._token_of[symbol] for symbol in text]
        except KeyError as error:
            raise DataError(
                f"{_place(text, error.args[0])} holds {error}, which is not in the alphabet "
                f"{self.alphabet!r}"
            ) from None
        return [BEGIN, *tokens, END] if add_special_tokens else tokens

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Return the text of the tokens, special ones left out or shown as · (U+00B7)."""
        special = "" if skip_special_tokens else "·"
        return "".join(
            self.alphabet[token - NUM_SPECIAL] if token >= NUM_SPECIAL else special
            for token in token_ids
        )


def _place(text: str, symbol: str) -> str:
    """Return where `symbol` stands: the text if it is short, else the line of it."""
    before = text[: text.index(symbol)]
    return f"text '{text}'" if len(text) < _SHORT else f"line {before.count(chr(10)) + 1}"
