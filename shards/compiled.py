"""Loops that NumPy cannot express, compiled by numba: what is done pixel by pixel would take minutes otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(function: Loop) -> Loop:
    """Compile a function at its first call, keep the result on disk, and let other threads run meanwhile.

    Put `@no_type_check` under it: shape checks wrap functions in Python, which numba cannot compile.
    """
    return cast(Loop, numba.njit(function, nogil=True, cache=True))
