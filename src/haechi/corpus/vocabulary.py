"""The tokens of a sequence model: log keys and three marks (docs/bundle.md, "Tokens of the model")."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

NO_TEMPLATE = -1  # the log key of a line that fits no template, as sessions hold it


@dataclass(frozen=True)
class Vocabulary:
    """log_keys keys, then begin, end and unseen."""

    log_keys: int
    trained_keys: tuple[int, ...]
    _token_of_key: npt.NDArray[np.int32] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        table = np.full(self.log_keys + 1, self.unseen, dtype=np.int32)
        table[list(self.trained_keys)] = self.trained_keys
        object.__setattr__(self, "_token_of_key", table)

    @classmethod
    def of_keys(cls, log_keys: int, keys: Iterable[int]) -> "Vocabulary":
        """The vocabulary in which exactly these keys count as trained."""
        return cls(log_keys, tuple(sorted({int(key) for key in keys} - {NO_TEMPLATE})))

    @property
    def begin(self) -> int:
        return self.log_keys

    @property
    def end(self) -> int:
        return self.log_keys + 1

    @property
    def unseen(self) -> int:
        return self.log_keys + 2

    @property
    def size(self) -> int:
        return self.log_keys + 3

    def encode(self, keys: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Log keys -> tokens, any shape; what is not a trained key is unseen."""
        inside = np.where((keys >= 0) & (keys < self.log_keys), keys, self.log_keys)
        return self._token_of_key[inside]
