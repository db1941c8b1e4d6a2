"""Which runs are this user's own: their frozen configs are signed with a key that only he has.

    $XDG_STATE_HOME/runner/key   or ~/.local/state/runner/key, made when it is needed first

What is signed is the text of config.yaml. A run whose signature fits was configured by this user,
wherever its directory lies by now; any other comes from elsewhere, also one of before there were
signatures. A home that cannot be written makes no run fail: its runs have no signature.

Of run.json, what `reproduce` acts on is signed too, where a job of this user has written it. The
config then has a signature of another kind, so that taking the other one away helps nobody. One of
the first kind alone, as early versions gave it, stands for both.
"""

import hashlib
import hmac
import logging
import os
import re
import secrets
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from runner.config.trust import Trust
from runner.errors import RunError
from runner.files import write_text_atomically
from runner.run.directory import RunDirectory

_KEY_BYTES = 32
_MOST_LINES = 16  # of machines on which the run was, up to two for each
_CONFIG = b"runner config\0"  # of all there is, as early versions sign it
_CONFIG_APART = b"runner config, facts apart\0"
_FACTS = b"runner facts\0"
_LINE = re.compile(r"[0-9a-f]{64}")
_PATIENCE_SECONDS = 2.0

_log = logging.getLogger(__name__)


def sign(directory: RunDirectory, text: str, *, facts: Sequence[str] | None = None) -> str | None:
    """Sign `text`, which is about to become the config of the run in `directory`.

    The signature of the config that is there now stays valid: a kill in between harms nothing. So
    do those of other machines, which have keys of their own, while the text is the same. `facts`
    are what run.json will say and says, as far as this user answers for it; None leaves it to the
    signature of the config. Returns why it could not be signed, None if it is.
    """
    kind = _CONFIG if facts is None else _CONFIG_APART
    try:
        key = _key()
        lines = [_signature(key, text, kind)]
        lines += [_signature(key, fact, _FACTS) for fact in facts or ()]
        there = _text_there(directory)
        if there == text:
            whole = _signature(key, text, _CONFIG)
            lines += [line for line in _lines(directory) if facts is None or line != whole]
        elif there is not None and _is_signed(directory, key):
            lines.append(_signature(key, there, kind))
        content = "".join(f"{line}\n" for line in list(dict.fromkeys(lines))[:_MOST_LINES])
        write_text_atomically(directory.signature, content)
    except OSError as error:
        return f"it is not signed as this user's own, and may be refused as a stranger's: {error}"
    return None


def is_ours(directory: RunDirectory) -> bool:
    """Return whether this user wrote the config of the run in `directory`."""
    try:
        return _is_signed(directory, _read_key())
    except OSError:
        return False


def are_facts_ours(directory: RunDirectory, facts: str) -> bool:
    """Return whether this user also answers for `facts`, which run.json of his run says."""
    try:
        key = _read_key()
    except OSError:
        return False
    text, lines = _text_there(directory), _lines(directory)
    if text is None or not _is_signed(directory, key):
        return False
    return bool({_signature(key, text, _CONFIG), _signature(key, facts, _FACTS)} & {*lines})


def refuse_stranger(directory: RunDirectory, trust: Trust, *, to: str) -> None:
    """Raise RunError unless this user made the run in `directory`, or trusts all of it.

    For what acts in his name: trains what its config names, sends to where that and marks beside
    it say. `to` is the command that was given: "resume".
    """
    if not (trust.everything or is_ours(directory)):
        raise StrangerError(directory.path, trust, to=to)


class StrangerError(RunError):
    """The run or sweep in `path` is not used in this user's name; says what to type."""

    def __init__(self, path: Path, trust: Trust, *, to: str, found: Sequence[str] = ()) -> None:
        self.path = path
        self._trust, self._to = trust, to
        names = f" ({', '.join(found)})" if found else ""
        super().__init__(self._sentence(str(path), [path], names))

    def for_all(self, paths: Sequence[Path], *, count: int) -> RunError:
        """Return the same of `count` runs and sweeps that lie in `paths`."""
        return RunError(self._sentence(f"each of {count} runs or sweeps", paths, ""))

    def _sentence(self, what: str, paths: Sequence[Path], names: str) -> str:
        words = " ".join(shlex.quote(str(path)) for path in paths)
        asked = Trust(packages=self._trust.packages, is_typed=True)  # it stops commands alone
        return (
            f"{what} was made elsewhere, or where your home was another one, and to {self._to} it "
            f"would run what its config names and send to where that says{names}; if you trust "
            f"whoever wrote it: "
            f"{asked.advice((), command=f'python -m runner {self._to} {words}')}"
        )


def text_signature(text: str) -> str | None:
    """Return this user's signature of `text`, to be kept in another file; None without a home."""
    try:
        return _signature(_key(), text)
    except OSError as error:
        _log.debug("not signed: %s", error)
        return None


def is_text_ours(text: str, signature: object) -> bool:
    """Return whether `signature` is this user's of `text`."""
    try:
        return isinstance(signature, str) and _fits(_read_key(), text, signature)
    except OSError:
        return False


def _is_signed(directory: RunDirectory, key: bytes) -> bool:
    text = _text_there(directory)
    if text is None:
        return False
    kinds = (_CONFIG, _CONFIG_APART)
    return any(_fits(key, text, line, kind) for line in _lines(directory) for kind in kinds)


def _text_there(directory: RunDirectory) -> str | None:
    with suppress(FileNotFoundError, UnicodeDecodeError):
        return directory.config.read_text(encoding="utf-8")
    return None


def _lines(directory: RunDirectory) -> list[str]:
    with suppress(FileNotFoundError, UnicodeDecodeError):
        lines = directory.signature.read_text(encoding="utf-8").splitlines()
        return [line for line in lines[:_MOST_LINES] if _LINE.fullmatch(line)]
    return []


def _fits(key: bytes, text: str, signature: str, kind: bytes = _CONFIG) -> bool:
    return hmac.compare_digest(_signature(key, text, kind).encode(), signature.encode())


def _signature(key: bytes, text: str, kind: bytes = _CONFIG) -> str:
    return hmac.new(key, kind + text.encode(), hashlib.sha256).hexdigest()


def _key_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else _home() / ".local" / "state") / "runner" / "key"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:  # a user without one
        raise OSError(str(error)) from error


def _read_key() -> bytes:
    key = _key_file().read_bytes()
    if len(key) != _KEY_BYTES:
        raise OSError(f"{_key_file()} is no key of runner: it has {len(key)} bytes")
    return key


def _key() -> bytes:
    """Return the key, made if there is none; of many processes at once all get the same one."""
    path = _key_file()
    if path.exists():
        return _patiently_read_key()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".key.{secrets.token_hex(8)}.tmp")
    try:
        _write_key(draft)
        with suppress(FileExistsError):
            _put(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return _patiently_read_key()


def _put(draft: Path, path: Path) -> None:
    """Let `path` be `draft`: whole or not at all where disks have links; never over another's."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:  # a disk without hard links
        _write_key(path)


def _write_key(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(_KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())


def _patiently_read_key() -> bytes:
    """Return the key, which another process may be about to write."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return _read_key()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
