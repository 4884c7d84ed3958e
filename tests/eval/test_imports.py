from __future__ import annotations

import subprocess
import sys


def test_only_the_scores_import_torch() -> None:
    modules = "eval.run, eval.benchmarks, eval.report, eval.predict, eval.predictor, eval.metrics, eval.score_cards"
    code = f"import sys, {modules}; print('torch' in sys.modules, 'torchvision' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
