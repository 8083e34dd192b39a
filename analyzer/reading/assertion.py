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
# Direction of a cue that is a mention by itself, where nothing but the mention stands in its sentence.
ALONE = "ALONE"
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
# Categories whose cue, inside a mention, is part of what is said and not said about it.
_OWN_WORDS = ("NEGATED", "HISTORICAL")


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
            self.nlp,
            rules=None,
            span_attrs=None,
            input_span_type="group",
            span_group_name=GROUP,
            prune_on_target_overlap=False,
        )
        rules: list[ConTextRule] = []
        self._first: set[str] = set()
        self._alone: dict[tuple[str, ...], str] = {}
        for cue in cues:
            for literal in cue["words"]:  # type: ignore[attr-defined]
                self._first.add(str(literal).split()[0])
                if cue["direction"] == ALONE:
                    self._alone[tuple(str(literal).split())] = str(cue["category"])
                    continue
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
        self._context.add(rules)

    def judge(
        self, norm: Sequence[str], targets: Sequence[tuple[int, int, str]]
    ) -> list[tuple[str, tuple[int, int] | None]]:
        """For each target (first, last, element): its assertion and the words of the cue that set it."""
        out: list[tuple[str, tuple[int, int] | None]] = []
        for reached in self.reached(norm, targets):
            category = next((c for c in _STRENGTH if c in reached), None)
            out.append(("affirmed", None) if category is None else (ASSERTION_OF[category], reached[category]))
        return out

    def reached(self, norm: Sequence[str], targets: Sequence[tuple[int, int, str]]) -> list[dict[str, tuple[int, int]]]:
        """For each target, every cue category that reaches it with the words of its first cue.

        What is denied may also be past ("no history of stroke"); `judge` settles on one.
        """
        if not targets:
            return []
        if not any(word in self._first for word in norm):
            return [{} for _ in targets]
        doc = Doc(self.nlp.vocab, words=list(norm), sent_starts=[i == 0 for i in range(len(norm))])
        spans = [Span(doc, first, last, label=element) for first, last, element in targets]
        doc.spans[GROUP] = spans
        self._context(doc)
        out: list[dict[str, tuple[int, int]]] = [{} for _ in targets]
        # Several values may stand on the same words; all of them get what reaches those words.
        index: dict[tuple[int, int, str], list[int]] = {}
        for i, span in enumerate(spans):
            index.setdefault((span.start, span.end, span.label_), []).append(i)
        for target, modifier in doc._.context_graph.edges:
            first, last = modifier.modifier_span
            # ConText lets a cue inside a mention reach it. "Warm without lesion" is a finding of its own; but doubt
            # within the words of a mention ("lucency, cannot exclude fracture") is doubt about it.
            inside = target.start <= first and last <= target.end and modifier.category in _OWN_WORDS
            if inside or modifier.category not in ASSERTION_OF:
                continue
            for i in index[(target.start, target.end, target.label_)]:
                out[i].setdefault(modifier.category, (first, last))
        for reached, (first, last, _) in zip(out, targets, strict=True):
            category = self._alone.get(tuple(norm[first:last]))
            if category is not None and not any(w.isalpha() for w in (*norm[:first], *norm[last:])):
                reached.setdefault(category, (first, last))
        return out
