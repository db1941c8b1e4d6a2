"""Which runs are this user's own: their frozen configs are signed with a key that only he has.

    $XDG_STATE_HOME/runner/key   or ~/.local/state/runner/key, made when it is needed first

What is signed is the text of config.yaml. A run whose signature fits was configured by this user,
wherever its directory lies by now; any other comes from elsewhere, also one of before there were
signatures. A home that cannot be written makes no run fail: its runs have no signature.
"""

import hashlib
import hmac
import logging
import os
import secrets
import shlex
from contextlib import suppress
from pathlib import Path

from runner.config.trust import Trust
from runner.errors import RunError
from runner.files import write_text_atomically
from runner.run.directory import RunDirectory

_KEY_BYTES = 32

_log = logging.getLogger(__name__)


def sign(directory: RunDirectory, text: str) -> None:
    """Sign `text`, which is about to become the config of the run in `directory`.

    The signature of the config that is there now stays valid: a kill in between harms nothing.
    """
    try:
        key = _key()
        lines = [_signature(key, text)]
        if _is_signed(directory, key):
            lines.append(_signature(key, directory.config.read_text(encoding="utf-8")))
        content = "".join(f"{line}\n" for line in dict.fromkeys(lines))
        write_text_atomically(directory.signature, content)
    except OSError as error:
        _log.debug("%s is not signed: %s", directory.path, error)


def is_ours(directory: RunDirectory) -> bool:
    """Return whether this user wrote the config of the run in `directory`."""
    try:
        return _is_signed(directory, _read_key())
    except OSError:
        return False


def refuse_stranger(directory: RunDirectory, trust: Trust, *, to: str) -> None:
    """Raise RunError unless this user made the run in `directory`, or trusts all of it.

    For what acts in his name: trains what its config names, sends to where that and marks beside
    it say. `to` is the command that was given: "resume".
    """
    if not (trust.everything or is_ours(directory)):
        raise RunError(stranger(directory.path, to=to))


def stranger(path: Path, *, to: str) -> str:
    """Return why the run or sweep in `path` is not used in this user's name, and what to type."""
    return (
        f"{path} was made elsewhere, or before runs were signed, and to {to} it would run what its "
        f"config names and send to where that says; if you trust whoever wrote it: "
        f"python -m runner {to} {shlex.quote(str(path))} trust=true"
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
    with suppress(FileNotFoundError, UnicodeDecodeError):
        text = directory.config.read_text(encoding="utf-8")
        lines = directory.signature.read_text(encoding="utf-8").splitlines()
        return any(_fits(key, text, line) for line in lines[:2])
    return False


def _fits(key: bytes, text: str, signature: str) -> bool:
    return hmac.compare_digest(_signature(key, text).encode(), signature.encode())


def _signature(key: bytes, text: str) -> str:
    return hmac.new(key, b"runner config\0" + text.encode(), hashlib.sha256).hexdigest()


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
    with suppress(FileNotFoundError):
        return _read_key()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".key.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)  # whole or not at all, and never over the key of another
    finally:
        draft.unlink(missing_ok=True)
    return _read_key()
