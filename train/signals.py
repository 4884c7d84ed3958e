"""Ctrl-C, and the SIGTERM of a cluster that wants its machine back: the step is finished, and all is saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Final

from train.ranks import world

STOPPING: Final = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Takes note of the first signal within its block.

    The second one acts as it would without the block, at once. Under several processes it is only noted too: Ctrl-C
    reaches each of them twice, from the terminal and from `torchrun`.

    Attributes:
        number: of the signal; 0 while there was none.
    """

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python sets no handlers
            self._before = {number: signal.signal(number, self._note) for number in STOPPING}
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number
        if signal.SIGCHLD not in self._before:
            # The same signal may end the workers, and a handler of PyTorch's would then raise in the midst of a step.
            self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        if world() == 1:
            for which in STOPPING:
                signal.signal(which, self._before[which])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
