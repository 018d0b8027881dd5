"""How a failed run has to end, and what it may leave behind."""

from pathlib import Path
from subprocess import CompletedProcess


def assert_one_line(run: CompletedProcess[str], *parts: str) -> None:
    """Fail unless the run ended with one line of ours that has these parts, the first in front."""
    output = run.stdout + run.stderr
    ours = [text for text in output.splitlines() if text.startswith("Error:")]
    assert run.returncode != 0, output
    assert "Traceback" not in output, output
    assert len(ours) == 1, output
    assert ours[0].startswith(f"Error: {parts[0]}"), ours[0]
    missing = [part for part in parts[1:] if part not in ours[0]]
    assert not missing, ours[0]


def files_in(folder: Path) -> set[Path]:
    """List the files of a working directory, without Snakemake's notes and the overlay."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path for path in paths if not path.parts[0].startswith(".")}


def half_written(folder: Path) -> list[Path]:
    """List what temporary names are left among downloads and results."""
    hidden = [path for part in ("resources", "results") for path in (folder / part).rglob(".*")]
    # Snakemake's own, in every folder that is an output.
    return [path for path in hidden if path.name != ".snakemake_timestamp"]
