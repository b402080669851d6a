"""What the bundle's detectors hold of a sequence of events, event by event."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from haechi.bundle.answers import BATCH, UNITS, Model, entropy, quantise
from haechi.bundle.manifest import DeepLog
from haechi.bundle.store import EXAMPLES, Bundle
from haechi.corpus.vocabulary import NO_TEMPLATE, Vocabulary

EXPECTED_MAX = 3
_CANDIDATES = 8  # examples with the nearest counts, whose order is compared


class Judge:
    """Of one bundle. BundleError where its files are not what they should be."""

    def __init__(self, bundle: Bundle) -> None:
        manifest = bundle.manifest
        self.bundle = bundle
        self.templates = bundle.templates
        try:
            trained = manifest.new_event.trained_keys
        except LookupError:
            trained = tuple(range(manifest.log_keys))
        self.vocabulary = Vocabulary(manifest.log_keys, trained)
        try:
            self._deeplog: DeepLog | None = manifest.deeplog
        except LookupError:
            self._deeplog = None

    def text(self, token: int) -> str | None:
        """None: the end of a session, or an event that the bundle does not know."""
        return self.templates[token] if 0 <= token < len(self.templates) else None

    def tokens(self, keys: npt.NDArray[np.int32]) -> list[int]:
        return [int(token) for token in self.vocabulary.encode(keys)]

    def events(self, tokens: Sequence[int], ended: bool, cut: bool) -> list[dict[str, Any]]:
        """Of each event, and of the end where it was seen: probability, surprise against the limit, rank and
        what was expected. Of the first of a session whose beginning is not known, nothing."""
        deeplog = self._deeplog
        if deeplog is None:
            return []
        size, begin = self.bundle.manifest.window, self.vocabulary.begin
        asked = [*tokens, *([self.vocabulary.end] if ended else [])]
        padded = [begin] * size + list(asked)
        windows = np.array([padded[i : i + size] for i in range(len(asked))], dtype=np.int64).reshape(
            -1, size
        )
        model = Model(self.bundle.file(deeplog.file))
        parts = [model.log_probability(windows[i : i + BATCH]) for i in range(0, len(windows), BATCH)]
        found: list[dict[str, Any]] = []
        for i, row in enumerate(np.concatenate(parts) if parts else ()):
            known = i >= size or not cut
            found.append(self._judged(deeplog, row, asked[i]) if known else {})
        return found

    def _judged(self, deeplog: DeepLog, row: npt.NDArray[np.float32], token: int) -> dict[str, Any]:
        vocabulary = self.vocabulary
        likely = row.astype(np.float64)
        likely[[vocabulary.begin, vocabulary.unseen]] = -np.inf
        best = np.argsort(-likely, kind="stable")[:EXPECTED_MAX]
        expected = [
            {
                "log_key": int(one) if one < vocabulary.log_keys else None,
                "template": self.text(int(one)),
                "probability": float(np.exp(likely[one])),
            }
            for one in best
        ]
        if token == vocabulary.unseen:
            surprise, rank, probability = deeplog.unseen_surprise, None, None
        else:
            nll = np.clip(-row[token : token + 1].astype(np.float64), 0, deeplog.unseen_surprise)
            surprise = float(quantise(nll - entropy(row[None, :]))[0]) / UNITS
            rank, probability = int((likely > row[token]).sum()), float(np.exp(row[token]))
        by_rank = deeplog.rule == "topk"
        over = (rank is None or rank >= deeplog.top_k) if by_rank else surprise > deeplog.event_surprise
        return {
            "probability": probability,
            "surprise": surprise,
            "limit": None if by_rank else deeplog.event_surprise,
            "rank": rank,
            "over": bool(over),
            "expected": expected,
        }

    def mean(self, judged: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
        """Of the whole session, where nothing of it is missing."""
        if self._deeplog is None or not judged or any(not one for one in judged):
            return None
        mean = sum(one["surprise"] for one in judged) / len(judged)
        return {"surprise": mean, "limit": self._deeplog.session_surprise}

    def counts(self, tokens: Sequence[int]) -> dict[str, Any] | None:
        """The distance from the nearest count vector of training, and where the two differ."""
        section = next((one for one in self.bundle.manifest.detectors if one.name == "counts"), None)
        file = getattr(section, "file", None)
        if section is None or file is None or not tokens:
            return None
        own = Counter(tokens)
        rows = json.loads(self.bundle.file(file))["vectors"]
        vectors = [Counter(dict(zip(row[::2], row[1::2], strict=True))) for row in rows]
        nearest = min(vectors, key=lambda vector: ruzicka(own, vector))
        differ = sorted(set(own) | set(nearest), key=lambda one: (-abs(own[one] - nearest[one]), one))
        return {
            "distance": ruzicka(own, nearest),
            "limit": float(getattr(section, "limit", 0.0)),
            "kinds": [
                {
                    "log_key": one if one < self.vocabulary.log_keys else None,
                    "template": self.text(one),
                    "count": own[one],
                    "usual": nearest[one],
                }
                for one in differ
            ],
        }

    def similar(self, keys: Sequence[int]) -> dict[str, Any] | None:
        """The most similar of the normal sessions that the bundle carries, side by side with this one."""
        if EXAMPLES not in self.bundle.manifest.files or not keys:
            return None
        own = Counter(keys)
        examples = json.loads(self.bundle.file(EXAMPLES))["sessions"]
        near = sorted(examples, key=lambda one: (ruzicka(own, Counter(one["keys"])), -one["count"]))
        matchers = [
            (difflib.SequenceMatcher(None, one["keys"], list(keys), autojunk=False), one)
            for one in near[:_CANDIDATES]
        ]
        if not matchers:
            return None
        matcher, one = max(matchers, key=lambda pair: pair[0].ratio())
        rows: list[dict[str, Any]] = []
        for what, a, b, c, d in matcher.get_opcodes():
            if what == "equal":
                rows += [self._row("same", key) for key in one["keys"][a:b]]
            else:
                rows += [self._row("missing", key) for key in one["keys"][a:b]]
                rows += [self._row("more", key) for key in keys[c:d]]
        return {"count": one["count"], "similarity": matcher.ratio(), "rows": rows}

    def _row(self, mark: str, key: int) -> dict[str, Any]:
        return {"mark": mark, "log_key": None if key == NO_TEMPLATE else key, "template": self.text(key)}


def ruzicka(a: Counter[int], b: Counter[int]) -> float:
    """The sum of the absolute differences over the sum of the maxima; 0: equal."""
    every = set(a) | set(b)
    most = sum(max(a[one], b[one]) for one in every)
    return sum(abs(a[one] - b[one]) for one in every) / most if most else 0.0
