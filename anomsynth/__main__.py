"""Entry point: runs the command line and turns a wrong command into one sentence."""

from __future__ import annotations

import errno
import io
import os
import sys

from shards.errors import BadInput, UserError


def main() -> None:
    """Run the command line; the console script `anomsynth`."""
    # Before anything starts a thread pool. Threads that spin while they wait hold the core that the others need as
    # soon as anything else runs: 40 training steps on two busy cores took 117 s, with this 18 s.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be text; stderr does so by itself
    from anomsynth.cli import app

    try:
        app(prog_name="anomsynth")
    except (UserError, BadInput) as error:
        _stop(str(error))
    except BrokenPipeError:
        # `anomsynth list | head`: the reader has gone, there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _stop("The disk is full; make room and type the same command again.")
        # Not every error of the system names a file, or has a number.
        where = f": {error.filename}" if error.filename else ""
        _stop(f"{error.strerror or error}{where}.")
    except (MemoryError, RuntimeError) as error:
        # torch's class is a RuntimeError; by its name, since importing torch takes seconds.
        if not isinstance(error, MemoryError) and type(error).__name__ != "OutOfMemoryError":
            raise
        _stop("Memory is exhausted: give a smaller --size, --batch or --crop, fewer --workers, or --device cpu.")


def _stop(sentence: str) -> None:
    print(f"Error: {sentence}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
