"""Imports point one way, and the parts that must run without jax never import it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

# From the top of the program to the bottom; a part may import only parts that stand later.
LAYERS = (
    "cli", "harness", "interface", "planning", "study", "training", "scoring", "weights", "config", "models",
    "parallel", "evals", "data", "records", "requests", "gguf_file", "files", "toy", "settings", "progress", "errors",
)  # fmt: skip
# The wings of analysis/ in the order of its flow, from what was measured to the pages; a wing may import only wings that
# stand before it.
WINGS = (
    "records", "statistics", "page", "calibration", "results", "audits", "verdicts", "figures", "report", "sweep",
    "reanalysis",
)  # fmt: skip


def imported_names(path: Path, package: str) -> set[str]:
    """What a file imports of a package, by the first name below it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module or "", *(f"{node.module}.{a.name}" for a in node.names)]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith(f"{package}.")}
    return found


def imported_parts(path: Path) -> set[str]:
    parts = imported_names(path, "sycojax") & {*LAYERS}
    return parts | ({"analysis"} if imported_names(path, "analysis") else set())


def part_of(path: Path) -> str:
    return path.relative_to(REPOSITORY / "sycojax").parts[0].removesuffix(".py")


def test_imports_point_down() -> None:
    broken = []
    for path in sorted((REPOSITORY / "sycojax").rglob("*.py")):
        here = part_of(path)
        if here in ("__init__", "__main__"):
            continue
        assert here in LAYERS, f"{path} belongs to no layer"
        for part in imported_parts(path) - {here}:
            if part == "analysis":
                allowed = here in ("cli", "study")
            else:
                allowed = LAYERS.index(part) > LAYERS.index(here)
            if not allowed:
                broken.append(f"{path.relative_to(REPOSITORY)} imports {part}")
    assert not broken, "\n".join(broken)


def test_analysis_knows_only_evals_and_records() -> None:
    allowed = {"analysis", "evals", "data", "records", "requests", "files", "errors"}
    for path in sorted((REPOSITORY / "analysis").rglob("*.py")):
        assert imported_parts(path) <= allowed, f"{path} imports {imported_parts(path) - allowed}"


def test_analysis_flows_one_way() -> None:
    broken = []
    for wing in WINGS:
        for path in sorted((REPOSITORY / "analysis" / wing).rglob("*.py")):
            later = imported_names(path, "analysis") & {*WINGS[WINGS.index(wing) + 1 :]}
            broken += [f"{path.relative_to(REPOSITORY)} imports {name}" for name in later]
    assert not broken, "\n".join(broken)


def test_evals_and_analysis_run_without_jax() -> None:
    program = (
        "import sys, sycojax.evals, sycojax.records, sycojax.data.sources, analysis.report\n"
        "bad = {'jax', 'flax', 'torch', 'tensorflow'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY)


def test_layers_and_wings_exist() -> None:
    """A part that is renamed must be renamed here too, or the tests above check nothing."""
    for layer in LAYERS:
        base = REPOSITORY / "sycojax" / layer
        assert base.is_dir() or base.with_suffix(".py").is_file(), layer
    wings = {path.parent.name for path in (REPOSITORY / "analysis").glob("*/__init__.py")}
    assert wings == {*WINGS}
    assert [path.name for path in (REPOSITORY / "analysis").glob("*.py")] == ["__init__.py"]


def test_no_file_is_a_grab_bag() -> None:
    assert not list((REPOSITORY / "sycojax").rglob("utils.py"))
    assert not list((REPOSITORY / "analysis").rglob("utils.py"))
