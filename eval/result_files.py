"""Everything that an evaluation leaves in its folder, but the page."""

from __future__ import annotations

from pathlib import Path

from eval.files import write_json
from eval.frame_figures import COUNTS, FRAMES, save_counts
from eval.results import CURVES, RESULTS, Results


def write_results(results: Results, out: Path) -> None:
    """Write curves.json, frames.json, counts.npz and, last, results.json into OUT.

    Raises:
        UserError: a file cannot be written.
    """
    write_json(out / CURVES, results.curves(), indent=None)
    write_json(out / FRAMES, results.frames())
    save_counts(out / COUNTS, results.counts())
    write_json(out / RESULTS, results.as_json())
