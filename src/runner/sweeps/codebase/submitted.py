"""`SubmittedCode`: what jobs that wait in a queue will import, and from where."""

import hashlib
import json
import os
import shlex
import site
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from pathlib import Path

import runner
from runner.run.source.state import (
    ENVIRONMENT_VARIABLE,
    code_state,
    write_submitted,
)

_STANDARD_FINDERS = (BuiltinImporter, FrozenImporter, PathFinder)


@dataclass(frozen=True, kw_only=True)
class SubmittedCode:
    """The code of jobs: of a snapshot in `files`, or, without, what is in its place by then.

    A job's working directory is the same in both cases.
    """

    record: Path  # the state of the code at the submission
    repository: Path | None = None  # of which `files` is a copy
    files: Path | None = None
    num_files: int = 0
    num_bytes: int = 0

    @property
    def python(self) -> str:
        """Return how a shell starts Python: the folder it stands in is not searched first."""
        return f"{shlex.quote(sys.executable)} -P"

    def path_for(self, sys_path: Sequence[str]) -> tuple[str, ...]:
        """Return the search path of a job, for that of this process.

        Folders of the repository become those of the snapshot. What an editable install's import
        hook finds there without a folder on the path comes last, as the hook would.
        """
        hooked = (str(folder) for folder in self._hooked_folders())
        return tuple(dict.fromkeys([*(self._moved(entry) for entry in sys_path), *hooked]))

    def setup_lines(self, sys_path: Sequence[str]) -> list[str]:
        """Return shell lines for a job's script, after which `python` starts from the right code.

        They come after lines of the user's own, which may set PYTHONPATH, too.
        """
        record = shlex.quote(str(self.record.absolute()))
        lines = [f"export {ENVIRONMENT_VARIABLE}={record}"]
        if folders := list(dict.fromkeys(self._early_folders(sys_path))):
            first = shlex.quote(os.pathsep.join(folders))
            more = f'"${{PYTHONPATH:+{os.pathsep}$PYTHONPATH}}"'
            lines.append(f"export PYTHONPATH={first}{more}")
        return lines

    def _moved(self, entry: str) -> str:
        """Return the folder of the snapshot for an entry of sys.path that is in the repository."""
        place = Path(entry or os.curdir)
        stays = (
            str(place.absolute()) if place.exists() else entry
        )  # else some hook knows what it is
        if self.repository is None or self.files is None:
            return stays
        root = self.repository.resolve()
        if not place.resolve().is_relative_to(root):
            return stays
        copy = self.files.absolute() / place.resolve().relative_to(root)
        return str(copy) if copy.is_dir() else stays  # else it is no code: site-packages, say

    def _early_folders(self, sys_path: Sequence[str]) -> Iterator[str]:
        """Yield what must be found before a job has set its search path, and by its children."""
        home = str(Path(runner.__file__).parents[1])
        if home not in _installed():
            yield self._moved(home)
        for entry in self.path_for(sys_path):
            is_copy = self.files is not None and Path(entry).is_relative_to(self.files.absolute())
            # It will stand before Python's own modules, and must hide none of them.
            if is_copy and sys.stdlib_module_names.isdisjoint(_modules(Path(entry))):
                yield entry

    def _hooked_folders(self) -> Iterator[Path]:
        """Yield folders of the snapshot whose originals only an import hook knows."""
        if self.files is None or self.repository is None:
            return
        hooks = [finder for finder in sys.meta_path if finder not in _STANDARD_FINDERS]
        for module in sorted(self.files.absolute().rglob("*.py")):
            top = module.parent if module.name == "__init__.py" else module
            if (top.parent / "__init__.py").exists() or not top.stem.isidentifier():
                continue
            original = self.repository / module.relative_to(self.files.absolute())
            for hook in hooks:
                spec = hook.find_spec(top.stem, None) if hasattr(hook, "find_spec") else None
                if spec and spec.origin and Path(spec.origin).resolve() == original.resolve():
                    yield top.parent


def leave_code(folder: Path) -> SubmittedCode:
    """Write into `folder` how the code is now; jobs will run what is in its place by then."""
    code = code_state(Path.cwd())
    name = hashlib.sha256(json.dumps(code).encode()).hexdigest()[:8]
    record = folder / f"code_{name}.json"
    if not record.exists():
        write_submitted(record, code, is_snapshot=False)
    return SubmittedCode(record=record)


def _installed() -> set[str]:
    """Return the folders that Python searches by itself."""
    found = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return {*found, site.getusersitepackages()}


def _modules(folder: Path) -> set[str]:
    """Return the names of the modules and packages that lie in `folder`."""
    modules = {path.stem for path in folder.glob("*.py")}
    return modules | {path.parent.name for path in folder.glob("*/__init__.py")}
