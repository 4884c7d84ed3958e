"""What people look at: tables in the terminal and in papers, the page, and whether two runs differ."""

from __future__ import annotations

from eval.report.compare import comparison, load_results
from eval.report.document import report_tables, report_text
from eval.report.page import write_page
from eval.report.table import segmentation_table, tables

__all__ = [
    "comparison",
    "load_results",
    "report_tables",
    "report_text",
    "segmentation_table",
    "tables",
    "write_page",
]
