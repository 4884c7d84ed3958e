"""What people look at: the table in the terminal, the page, and several runs side by side."""

from __future__ import annotations

from eval.report.compare import comparison, load_results
from eval.report.page import write_page
from eval.report.table import segmentation_table, tables

__all__ = ["comparison", "load_results", "segmentation_table", "tables", "write_page"]
