"""What a sentence asserts of each mention: medspaCy's ConText with the pack's own cue rules.

Stock cues are not loaded: their known faults are mended by rules of our own (patterns/common/assertion.yaml), each with
sentences beside it. ConText runs on one sentence at a time, so that its all-pairs scopes stay small on long charts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import spacy
from medspacy.common.util import prune_overlapping_matches
from medspacy.context import ConText, ConTextGraph, ConTextModifier, ConTextRule
from medspacy.util import tuple_overlaps
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
_AFFIRMED: tuple[str, tuple[int, int] | None] = ("affirmed", None)


class _SpaceTokenizer:
    """Normal words come separated by spaces already."""

    def __init__(self, vocab: Vocab) -> None:
        self.vocab = vocab

    def __call__(self, text: str) -> Doc:
        return Doc(self.vocab, words=text.split())


@dataclass(frozen=True, slots=True)
class _Target:
    """A mention as medspaCy's graph looks at it."""

    start: int
    end: int
    label_: str


class _Cue(NamedTuple):
    """A cue in a sentence: its words [start, end) and the words it reaches unless another cue cuts it short."""

    rule: ConTextRule
    start: int
    end: int
    reach_from: int
    reach_to: int


@dataclass(slots=True)
class _Starting:
    """The cues that begin with one word: what follows it, and the rule. `by_second` holds the one-word cue as well."""

    alone: list[tuple[list[str], ConTextRule]] = field(default_factory=list)
    by_second: dict[str, list[tuple[list[str], ConTextRule]]] = field(default_factory=dict)
    longest: int = 1

    def add(self, rest: list[str], rule: ConTextRule) -> bool:
        """Whether the cue is new."""
        same = self.by_second.setdefault(rest[0], []) if rest else self.alone
        if any(rest == other for other, _ in same):
            return False
        same.append((rest, rule))
        self.longest = max(self.longest, len(rest))
        return True


class Assertions:
    """Decides assertions within one sentence of normal words.

    `judge` and `reached` find cues by look-up and give a sentence to medspaCy's graph only where a cue may reach a
    mention; `plain=True` puts every sentence through spaCy's and medspaCy's whole pipeline. Both give the same answers.
    Raises ValueError for a cue that is given twice.
    """

    def __init__(self, cues: Iterable[Mapping[str, object]], *, plain: bool = False) -> None:
        self.plain = plain
        self._rules: list[ConTextRule] = []
        self._alone: dict[tuple[str, ...], str] = {}
        self._cues: dict[str, _Starting] = {}
        for cue in cues:
            for literal in cue["words"]:  # type: ignore[attr-defined]
                if cue["direction"] == ALONE:
                    self._alone[tuple(str(literal).split())] = str(cue["category"])
                    continue
                rule = ConTextRule(
                    literal=literal,
                    category=str(cue["category"]),
                    direction=str(cue["direction"]),
                    max_scope=cue.get("max_scope"),
                    max_targets=cue.get("max_targets"),
                    allowed_types={str(t).upper() for t in cue["allowed"]} if cue.get("allowed") else None,  # type: ignore[attr-defined]
                    terminated_by={str(t) for t in cue["ended_by"]} if cue.get("ended_by") else None,  # type: ignore[attr-defined]
                    excluded_types={str(t).upper() for t in cue["excluded"]} if cue.get("excluded") else None,  # type: ignore[attr-defined]
                )
                self._rules.append(rule)
                first, *rest = str(literal).lower().split()
                if not self._cues.setdefault(first, _Starting()).add(rest, rule):
                    raise ValueError(f"the cue {literal!r} is given twice")
        for same in self._cues.values():
            for cues_of_two in same.by_second.values():
                cues_of_two.extend(same.alone)

    def judge(
        self, norm: Sequence[str], targets: Sequence[tuple[int, int, str]]
    ) -> list[tuple[str, tuple[int, int] | None]]:
        """For each target (first, last, element): its assertion and the words of the cue that set it."""
        out: list[tuple[str, tuple[int, int] | None]] = []
        for reached in self.reached(norm, targets):
            category = next((c for c in _STRENGTH if c in reached), None) if reached else None
            out.append(_AFFIRMED if category is None else (ASSERTION_OF[category], reached[category]))
        return out

    def reached(self, norm: Sequence[str], targets: Sequence[tuple[int, int, str]]) -> list[dict[str, tuple[int, int]]]:
        """For each target, every cue category that reaches it with the words of its first cue.

        What is denied may also be past ("no history of stroke"); `judge` settles on one.
        """
        if not targets:
            return []
        graph = self._graph_of_doc(norm, targets) if self.plain else self._graph(norm, targets)
        out: list[dict[str, tuple[int, int]]] = [{} for _ in targets]
        for target, modifier in graph.edges if graph is not None else ():
            first, last = modifier.modifier_span
            # ConText lets a cue inside a mention reach it. "Warm without lesion" is a finding of its own; but doubt
            # within the words of a mention ("lucency, cannot exclude fracture") is doubt about it.
            inside = target.start <= first and last <= target.end and modifier.category in _OWN_WORDS
            if inside or modifier.category not in ASSERTION_OF:
                continue
            # Several values may stand on the same words; all of them get what reaches those words.
            for i, (start, end, element) in enumerate(targets):
                if start == target.start and end == target.end and element == target.label_:
                    out[i].setdefault(modifier.category, (first, last))
        for reached, (first, last, _) in zip(out, targets, strict=True):
            category = self._alone.get(tuple(norm[first:last]))
            if category is not None and not any(w.isalpha() for w in (*norm[:first], *norm[last:])):
                reached.setdefault(category, (first, last))
        return out

    def _graph(self, norm: Sequence[str], targets: Sequence[tuple[int, int, str]]) -> ConTextGraph | None:
        """The graph of a sentence, or None where no cue can reach a mention: scopes never grow."""
        cues = self._find(norm)
        if not any(
            tuple_overlaps((c.reach_from, c.reach_to), (start, end))
            for c in cues
            if c.rule.category in ASSERTION_OF
            for start, end, _ in targets
        ):
            return None
        graph = ConTextGraph(
            targets=[_Target(*target) for target in targets],
            modifiers=[ConTextModifier(c.rule, c.start, c.end, None, c.reach_from, c.reach_to) for c in cues],
        )
        graph.update_scopes()
        graph.apply_modifiers()
        return graph

    def _find(self, norm: Sequence[str]) -> list[_Cue]:
        """The cues of a sentence, of those that overlap the longest, as medspaCy's matcher picks them."""
        found: list[tuple[ConTextRule, int, int]] = []
        cues = self._cues
        for i, word in enumerate(norm):
            here = cues.get(word)
            if here is None:
                continue
            after = norm[i + 1 : i + 1 + here.longest]
            for rest, rule in here.by_second.get(after[0], here.alone) if after else here.alone:
                if after[: len(rest)] == rest:
                    found.append((rule, i, i + 1 + len(rest)))
        if len(found) > 1:
            found = prune_overlapping_matches(found)
        size = len(norm)
        out: list[_Cue] = []
        for rule, start, end in found:
            low, high, most = 0, size, rule.max_scope
            if rule.direction == "FORWARD":
                low = end
            elif rule.direction == "BACKWARD":
                high = start
            if most is not None:
                if low != end and start - low > most:
                    low = start - most
                if high != start and high - end > most:
                    high = end + most
            out.append(_Cue(rule, start, end, low, high))
        return out

    @cached_property
    def _context(self) -> ConText:
        """medspaCy's component, for whole Docs."""
        nlp = spacy.blank("en")
        nlp.tokenizer = _SpaceTokenizer(nlp.vocab)
        context = ConText(
            nlp,
            rules=None,
            span_attrs=None,
            input_span_type="group",
            span_group_name=GROUP,
            prune_on_target_overlap=False,
        )
        context.add(self._rules)
        return context

    def _graph_of_doc(self, norm: Sequence[str], targets: Sequence[tuple[int, int, str]]) -> ConTextGraph:
        """The graph of a sentence by way of a spaCy Doc."""
        context = self._context
        doc = Doc(context.nlp.vocab, words=list(norm), sent_starts=[i == 0 for i in range(len(norm))])
        doc.spans[GROUP] = [Span(doc, first, last, label=element) for first, last, element in targets]
        context(doc)
        return doc._.context_graph
