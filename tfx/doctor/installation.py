"""Checks of the installation: Python, libraries, byte code, HOME. All without TensorFlow."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from penstock.tfx.doctor.finding import Finding, first_few, fix, ok, tip
from penstock.tfx.versions import unwritable

COMPILED = ("tensorflow", "keras", "apache_beam")
"""Packages that take long to import from sources alone."""
NVIDIA_LIBRARY = "nvidia-cudnn-cu12"
"""One of the distributions that the `gpu` extra brings."""


def python(version: tuple[int, ...] = sys.version_info) -> Finding:
    """The interpreter."""
    said = ".".join(str(part) for part in version[:3])
    if not (3, 11) <= tuple(version[:2]) <= (3, 13):
        return fix(
            "python",
            f"this version is not supported. Expected: 3.11 to 3.13. Received: {said}. Make a "
            "virtual environment with another one: `make PYTHON=python3.12`.",
        )
    return ok("python", f"{said} on {platform.system()} {platform.machine()}, {sys.prefix}")


def installed_version(name: str) -> str | None:
    """The version of a distribution, None where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def libraries(requirements: list[str] | None = None, version_of=installed_version) -> Finding:
    """Every library that the package's own metadata asks for, against its minimum."""
    texts = requirements or importlib.metadata.requires("penstock")
    needed = [
        requirement
        for requirement in map(Requirement, texts)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    ]
    versions = {requirement: version_of(requirement.name) for requirement in needed}
    faults = [
        f"{requirement.name} (expected {requirement.specifier}, received {version or 'none'})"
        for requirement, version in versions.items()
        if version is None or not requirement.specifier.contains(version, prereleases=True)
    ]
    if faults:
        return fix(
            "libraries",
            f"missing or too old: {first_few(faults, 5)}. Install them: "
            f"`{_pip()} install --upgrade penstock` (in a checkout `make install`).",
        )
    main = ("tensorflow", "keras", "apache-beam", "numpy")
    shown = ", ".join(f"{n} {version_of(n)}" for n in main if version_of(n) is not None)
    return ok("libraries", f"{len(needed)} found, none too old: {shown}")


def versions_as_tested(
    constraints: Path | None = None, version_of=installed_version
) -> list[Finding]:
    """Which libraries differ from those that were tested together; silent outside a checkout."""
    path = constraints or Path(__file__).parents[2] / "constraints.txt"
    if not path.is_file():
        return []
    lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
    pins = dict(line.split("==") for line in lines if "==" in line)
    ours = {canonicalize_name(Requirement(r).name) for r in importlib.metadata.requires("penstock")}
    pins = {name: pin for name, pin in pins.items() if canonicalize_name(name) in ours}
    found = {name: version_of(name) for name in pins}
    differing = [
        f"{name} {found[name]} (tested: {pin})"
        for name, pin in pins.items()
        if found[name] not in (None, pin)
    ]
    if differing:
        return [
            tip(
                "tested versions",
                f"{len(differing)} differ: {first_few(differing, 4)}. If something fails, try the "
                f"tested ones: `{_pip()} install -c {path} penstock`.",
            )
        ]
    return [ok("tested versions", f"as in {path.name}")]


def compiled_packages(packages: tuple[str, ...] = COMPILED) -> Finding:
    """Whether Python finds byte code beside the sources, or must compile at each import."""
    bare = [name for name in packages if not _is_compiled(name)]
    if not bare:
        return ok("compiled packages", f"{', '.join(packages)} have byte code")
    folder = Path(importlib.util.find_spec(bare[0]).submodule_search_locations[0]).parent
    return fix(
        "compiled packages",
        f"without byte code (`__pycache__`) importing TensorFlow takes most of a minute in every "
        f"worker. Expected: compiled files. Received: none for {', '.join(bare)}. Compile once: "
        f"`env -u PYTHONDONTWRITEBYTECODE {sys.executable} -m compileall -q -j 0 {folder}`.",
    )


def _is_compiled(name: str) -> bool:
    """Whether most of a package's modules have byte code; an absent package is another check's."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return True
    folder = Path(spec.submodule_search_locations[0])
    sources = [*folder.glob("*.py"), *folder.glob("*/framework/*.py")]
    done = [Path(importlib.util.cache_from_source(str(path))).is_file() for path in sources]
    return sum(done) * 2 >= len(done)


def home() -> Finding:
    """Whether libraries can keep their files in HOME, and what it means if not."""
    folder = Path(os.path.expanduser("~"))
    problem = unwritable(folder)
    if problem is None:
        return ok("home", f"{folder} can be written to")
    return tip(
        "home",
        f"{problem}. A run does not need it, but what libraries download cannot be kept there: set "
        "KERAS_HOME (presets), TFDS_DATA_DIR (data sets) and HF_HOME to a folder that can be "
        "written to.",
    )


def _pip() -> str:
    """How to call pip for this very interpreter."""
    return "pip" if shutil.which("python") == sys.executable else f"{sys.executable} -m pip"
