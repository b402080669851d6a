"""The PyPI package drain3 on the same lines, for comparison: its mining alone, without reading or parsing."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

from haechi.native import _core


def mine_rate(log: Path, lines: int) -> float | None:
    """Messages a second that drain3 mines, numbers and addresses masked, of the log's first lines (in the iso
    form); None where it is not installed."""
    try:
        from drain3 import TemplateMiner
        from drain3.masking import MaskingInstruction
        from drain3.template_miner_config import TemplateMinerConfig
    except ImportError:
        return None
    with log.open("rb") as file:
        data = b"".join(itertools.islice(file, lines))
    messages = [message.decode("utf-8", "replace") for message in _core.parse(data, "iso")["message"]]
    config = TemplateMinerConfig()
    config.masking_instructions = [
        MaskingInstruction(
            r"((?<=[^A-Za-z0-9])|^)(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})((?=[^A-Za-z0-9])|$)", "IP"
        ),
        MaskingInstruction(r"((?<=[^A-Za-z0-9])|^)([\-\+]?\d+)((?=[^A-Za-z0-9])|$)", "NUM"),
    ]
    miner = TemplateMiner(config=config)
    begun = time.perf_counter()
    for message in messages:
        miner.add_log_message(message)
    return len(messages) / (time.perf_counter() - begun)
