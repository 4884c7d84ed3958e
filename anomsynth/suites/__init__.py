"""Suites: tables of papers that one command makes again. A suite is a file here and a row in `SUITES`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from anomsynth.suites import mgcda_table3
from anomsynth.suites.base import Suite

SUITES: Final[Mapping[str, Suite]] = {suite.name: suite for suite in (mgcda_table3.SUITE,)}
