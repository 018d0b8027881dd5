"""The processor time that an oracle spends in forwards of its model."""

import time
from collections.abc import Callable

from genosiege.sequence.oracle import Oracle


def clock(oracle: Oracle) -> Callable[[], float]:
    """Begin to count; give what tells the seconds so far. In fp32: bf16 has another model."""
    spent = begun = 0.0

    def begin(*_: object) -> None:
        nonlocal begun
        begun = time.process_time()

    def end(*_: object) -> None:
        nonlocal spent
        spent += time.process_time() - begun

    oracle._exact.register_forward_pre_hook(begin)
    oracle._exact.register_forward_hook(end)
    return lambda: spent
