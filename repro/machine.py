"""What a number was made on: hardware, versions, commit, sources. Importable without torch."""

import hashlib
import importlib.metadata
import os
import platform
import re
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("repro", "simulation")
# Data in the tree that a module computes from: who imports it depends on them all. repro.published reads printed
# numbers too, but nothing is made of them: results are held against them afterwards.
READS = {
    "simulation.description": "simulation/shelf/**/*.yaml",
    "simulation.specifications": "simulation/published/*.csv",
    "simulation.unpredicted": "simulation/published/*.csv",
    "simulation.validate": "simulation/published/*.csv",
}
VERSIONED = ("torch", "numpy", "scipy", "scikit-learn", "safetensors")


@cache
def processor() -> str:
    """The processor's name and its number of cores, as in ``Intel(R) Xeon(R) Processor, 2 cores``."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [
        line.split(":", 1)[1].strip()
        for line in (cpuinfo.read_text().splitlines() if cpuinfo.exists() else [])
        if line.startswith("model name")
    ]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def hardware(device: str) -> str:
    """The hardware of a device (``cpu`` or ``cuda``)."""
    if device == "cuda":
        import torch

        return f"{torch.cuda.get_device_name()}, {torch.cuda.device_count()} devices"
    return processor()


@cache
def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": platform.system().lower()}
    for package in VERSIONED:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def commit() -> str:
    """Short hash of the checkout, with ``+`` where tracked files differ from it; empty outside of git."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    head = git("rev-parse", "--short=10", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no", "--", *PACKAGES)
    return f"{head}+" if head and changed else head


@cache
def sources_of(module: str) -> tuple[Path, ...]:
    """The files of this repository that ``module`` imports, itself included, and the data those read, in sorted order.

    Imports are read from the import statements, wherever they stand in a file, so nothing is executed.
    """
    seen: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file_of(ROOT, name)
        if path is None or name in seen:
            continue
        seen[name] = path
        waiting.append(name.rpartition(".")[0])
        waiting.extend(_imports(path))
    data = [path for name, pattern in READS.items() if name in seen for path in ROOT.glob(pattern)]
    return tuple(sorted({*seen.values(), *data}))


@cache
def sources_digest(module: str) -> str:
    """12 hex digits over the contents of ``sources_of(module)``."""
    total = hashlib.sha256()
    for path in sources_of(module):
        total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:12]


@cache
def _file_of(root: Path, name: str) -> Path | None:
    if name.partition(".")[0] not in PACKAGES:
        return None
    base = root.joinpath(*name.split("."))
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.exists():
            return path
    return None


# An import at the start of a line, however far indented; names in brackets may go over several lines.
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<module>[\w.]+)[ \t]+import[ \t]+(?P<names>\([^)]*\)|[^#\n]+)"
    r"|import[ \t]+(?P<modules>[^#\n]+))",
    re.MULTILINE,
)


@cache
def _imports(path: Path) -> tuple[str, ...]:
    # Not parsed: that takes fifty times as long, and every start of the workflow asks of every file. A sentence of a
    # docstring that reads like an import can only add a file; a test holds the outcome against the syntax tree.
    names: set[str] = set()
    for found in _IMPORT.finditer(path.read_text(encoding="utf-8")):
        module = found["module"]
        listed = _names(found["names"] or found["modules"])
        names.update([module, *(f"{module}.{name}" for name in listed)] if module else listed)
    return tuple(sorted(name for name in names if name.partition(".")[0] in PACKAGES))


def _names(listed: str) -> list[str]:
    """`a` and `b` of `(a as c,  # why\n b)`."""
    parts = re.sub(r"#.*", "", listed).strip("() \t\n").split(",")
    return [part.split()[0] for part in parts if part.strip()]
