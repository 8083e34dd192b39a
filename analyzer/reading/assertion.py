"""What a sentence asserts of each mention: medspaCy's ConText with the pack's own cue rules.

Stock cues are not loaded: their known faults are mended by rules of our own (patterns/common/assertion.yaml), each with
sentences beside it. ConText runs on one sentence at a time, so that its all-pairs scopes stay small on long charts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import spacy
from medspacy.context import ConText, ConTextRule
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

GROUP = "chartgap"
ASSERTION_OF = {
    "NEGATED": "negated",
    "POSSIBLE": "possible",
    "HYPOTHETICAL": "hypothetical",
    "HISTORICAL": "historical",
    "FAMILY": "family",
    "TEMPLATE": "template",
}
# When several cues reach one mention, the one that takes most of it away decides.
_STRENGTH = ("TEMPLATE", "FAMILY", "HYPOTHETICAL", "NEGATED", "POSSIBLE", "HISTORICAL")


class _SpaceTokenizer:
    """Normal words come separated by spaces already."""

    def __init__(self, vocab: Vocab) -> None:
        self.vocab = vocab

    def __call__(self, text: str) -> Doc:
        return Doc(self.vocab, words=text.split())


class Assertions:
    """Decides assertions within one sentence of normal words."""

    def __init__(self, cues: Iterable[Mapping[str, object]]) -> None:
        self.nlp = spacy.blank("en")
        self.nlp.tokenizer = _SpaceTokenizer(self.nlp.vocab)
        self._context = ConText(
            self.nlp, rules=None, span_attrs=None, input_span_type="group", span_group_name=GROUP, prune_on_target_overlap=False
        )
        rules: list[ConTextRule] = []
        self._first: set[str] = set()
        for cue in cues:
            for literal in cue["words"]:  # type: ignore[attr-defined]
                rules.append(
                    ConTextRule(
                        literal=literal,
                        category=str(cue["category"]),
                        direction=str(cue["direction"]),
                        max_scope=cue.get("max_scope"),
                        max_targets=cue.get("max_targets"),
                        allowed_types={str(t).upper() for t in cue["allowed"]} if cue.get("allowed") else None,  # type: ignore[attr-defined]
                        terminated_by={str(t) for t in cue["ended_by"]} if cue.get("ended_by") else None,  # type: ignore[attr-defined]
                        excluded_types={str(t).upper() for t in cue["excluded"]} if cue.get("excluded") else None,  # type: ignore[attr-defined]
                    )
                )
                self._first.add(str(literal).split()[0])
        self._context.add(rules)

    def judge(
        self, norm: Sequence[str], targets: Sequence[tuple[int, int, str]]
    ) -> list[tuple[str, tuple[int, int] | None]]:
        """For each target (first, last, element): its assertion and the words of the cue that set it."""
        if not targets:
            return []
        if not any(word in self._first for word in norm):
            return [("affirmed", None)] * len(targets)
        doc = Doc(self.nlp.vocab, words=list(norm), sent_starts=[i == 0 for i in range(len(norm))])
        spans = [Span(doc, first, last, label=element) for first, last, element in targets]
        doc.spans[GROUP] = spans
        self._context(doc)
        reached: dict[int, list[tuple[str, tuple[int, int]]]] = {}
        # Several values may stand on the same words; all of them get what reaches those words.
        index: dict[tuple[int, int, str], list[int]] = {}
        for i, span in enumerate(spans):
            index.setdefault((span.start, span.end, span.label_), []).append(i)
        for target, modifier in doc._.context_graph.edges:
            for i in index[(target.start, target.end, target.label_)]:
                reached.setdefault(i, []).append((modifier.category, modifier.modifier_span))
        out: list[tuple[str, tuple[int, int] | None]] = []
        for i in range(len(spans)):
            cues = reached.get(i, [])
            best: tuple[str, tuple[int, int] | None] = ("affirmed", None)
            for category in _STRENGTH:
                hits = [span for name, span in cues if name == category]
                if hits:
                    best = (ASSERTION_OF[category], hits[0])
                    break
            out.append(best)
        return out
