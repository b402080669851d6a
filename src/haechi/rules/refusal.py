"""What was not taken over, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule that is left out while the others go on."""

    file: str
    id: str
    title: str
    reason: str
    mistake: bool = False  # wrong in itself, and not only more than the engine can express

    def as_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "id": self.id,
            "title": self.title,
            "reason": self.reason,
            "mistake": self.mistake,
        }

    def __str__(self) -> str:
        who = " ".join(part for part in (self.id, f"({self.title})" if self.title else "") if part)
        return f"{self.file}: {who or 'a rule without a name'}: {self.reason}"
