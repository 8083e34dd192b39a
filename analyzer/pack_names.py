"""Whether the names used in a pack's files are defined: elements, values, sections, facts, requirements, alerts, flags.

Each check raises PackError naming file, line and key, and suggests the nearest known name. What the shapes of the files
say by themselves is in analyzer/pack_files.py.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from analyzer.candidates import CandidateFile, Part
from analyzer.case_rules import CaseRules
from analyzer.errors import PackError
from analyzer.judging import ExpressionError, compile_expression
from analyzer.pack_files import (
    ELEMENT_ROLES,
    FACT_NAME,
    RESERVED,
    VALUE_ROLES,
    AgeFact,
    AlertsFile,
    AnyFact,
    ApartFact,
    EventFact,
    FactsFile,
    FindFact,
    FirstValue,
    FlagsFile,
    FlagSpec,
    KeyPath,
    Lines,
    PackHead,
    PartsValue,
    RequirementRule,
    RequirementsFile,
    SetValue,
    ValueSet,
    WhenFact,
    covering,
    did_you_mean,
    fact_of,
    validated,
)
from analyzer.queries import QueryFile
from analyzer.report import Assertion
from analyzer.yamlfile import line_of

ASSERTIONS = get_args(Assertion)
TIES = ("index", "target", "neighbour", "vague", "unplaced", "elsewhere")
NOTHING = "none"
"""Stands where a list of values would be empty for one code of a family: no mention has it."""
_WORD = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class PackFile:
    """A file as errors name it, with its lines."""

    shown: str
    lines: Lines

    def error(self, path: KeyPath, reason: str) -> PackError:
        """The error for a key of this file."""
        return PackError(self.shown, line_of(self.lines, path), ".".join(map(str, path)), reason)

    def known(self, name: str, among: Collection[str], path: KeyPath, what: str) -> None:
        """Raise PackError unless `name` is `among` those known. `what`: "no section is called"."""
        if name not in among:
            raise self.error(path, f"{what} {name!r}{did_you_mean(name, among)}")

    def all_known(self, names: Iterable[str], among: Collection[str], path: KeyPath, what: str) -> None:
        """`known` for each of several names."""
        for name in names:
            self.known(name, among, path, what)

    def once(self, ids: Iterable[str], path: KeyPath, key: str = "id") -> None:
        """Raise PackError for an id that stands twice in the list at `path`."""
        seen: set[str] = set()
        for i, name in enumerate(ids):
            if name in seen:
                raise self.error((*path, i, key), f"{name!r} stands twice")
            seen.add(name)


@dataclass
class PackNames:
    """What a pack has defined so far. Files are checked in the order in which the facts of one rest on another's."""

    head: PackHead
    tags: frozenset[str] = frozenset()
    facts: dict[str, str] = field(default_factory=dict)
    """Where each fact stands, as `file:line`."""

    def check_head(self, file: PackFile, all_sections: Collection[str]) -> None:
        """pack.yaml against itself."""
        head, linking = self.head, self.head.linking
        if covering(head.codes, head.default_code) is None:
            file.known(head.default_code, head.codes, ("default_code",), "no code of this pack is")
        file.all_known(head.shown, head.elements, ("shown",), "no element is called")
        file.all_known(head.inner_values, self._values(head.elements), ("inner_values",), "no element has a value")
        file.all_known(head.sections, {*all_sections, "other"}, ("sections",), "no section is called")
        for role in ELEMENT_ROLES:
            name = getattr(linking, role)
            if name is not None:
                file.known(name, head.elements, ("linking", role), "no element is called")
        for role, of in VALUE_ROLES.items():
            given = getattr(linking, role)
            for value in [given] if isinstance(given, str) else given or ():
                element = getattr(linking, of)
                if element is None:
                    raise file.error(("linking", role), f"needs an element under linking.{of}")
                file.known(value, head.elements[element], ("linking", role), f"{element} has no value")
        at = ("linking", "assessment_sections")
        file.all_known(linking.assessment_sections, head.sections, at, "no section is called")
        for key, names in linking.sections:
            file.all_known(names, head.sections, ("linking", "sections", key), "no section is called")
        regions = head.elements[linking.site] if linking.site is not None else []
        for code, spec in head.codes.items():
            for key in ("target", "neighbours"):
                names = getattr(spec, key)
                if names and linking.site is None:
                    raise file.error(("codes", code, key), "needs an element under linking.site")
                file.all_known(names, regions, ("codes", code, key), f"{linking.site} has no value")

    def _values(self, elements: Iterable[str]) -> set[str]:
        return {value for element in elements for value in self.head.elements[element]}

    def add_facts(self, file: PackFile, content: FactsFile) -> None:
        """Check the facts of a file one after the other; each may rest on those above it."""
        for name, spec in content.facts.items():
            self.add_fact(file, name, spec, content.facts)

    def add_fact(self, file: PackFile, name: str, spec: dict[str, Any], beside: Collection[str]) -> None:
        """Check one fact and make it known. `beside`: all facts of its file, also those below it."""
        at: KeyPath = ("facts", name)
        if not FACT_NAME.fullmatch(name) or name in RESERVED:
            raise file.error(at, "is no name of a fact (small letters, digits and _, beginning with a letter)")
        if name in self.facts:
            raise file.error(at, f"is defined already ({self.facts[name]})")
        fact = fact_of(spec, file.shown, file.lines, at)

        def rests(names: Iterable[str], *key: str) -> None:
            for other in names:
                if other in self.facts:
                    continue
                if other in beside:
                    line = line_of(file.lines, ("facts", other))
                    below = "itself" if other == name else f"{other!r}, which stands below (line {line})"
                    raise file.error((*at, *key), f"rests on {below}: a fact may rest on facts above it")
                reason = f"no fact above is called {other!r}{did_you_mean(other, {*self.facts, *beside} - {name})}"
                raise file.error((*at, *key), reason)

        match fact:
            case FindFact():
                self._find(file, fact, at)
                for key in ("same", "not_same"):
                    rests(getattr(fact, key), key)
                if fact.near is not None:
                    rests(fact.near.facts, "near", "facts")
            case WhenFact():
                rests([w for w in _WORD.findall(fact.when) if w not in RESERVED], "when")
                self.expression(file, fact.when, (*at, "when"))
                rests(fact.spots, "spots")
            case AnyFact():
                rests(fact.any, "any")
            case ApartFact():
                rests(fact.apart, "apart")
            case AgeFact():
                rests([fact.of], "of")
            case EventFact():
                element = self.head.linking.event
                if element is None:
                    raise file.error((*at, "linked"), "needs an element under linking.event in pack.yaml")
                file.all_known(fact.value, self.head.elements[element], (*at, "value"), f"{element} has no value")
        self.facts[name] = f"{file.shown}:{line_of(file.lines, at)}"

    def _find(self, file: PackFile, fact: FindFact, at: KeyPath) -> None:
        elements = self.head.elements
        file.all_known(fact.find, elements, (*at, "find"), "no element is called")
        values = self._values(fact.find)
        if all(elements[element] for element in fact.find):
            said = f"{' and '.join(fact.find)} {'have' if len(fact.find) > 1 else 'has'} no value"
            file.all_known(fact.value, {*values, NOTHING}, (*at, "value"), said)
        linking = self.head.linking
        places = self._values(e for e in (linking.site, linking.elsewhere) if e is not None)
        file.all_known(fact.site, {*places, NOTHING}, (*at, "site"), f"{linking.site} has no value")
        for key in ("in", "not_in", "first_in"):
            names = fact.in_sections if key == "in" else getattr(fact, key)
            file.all_known(names, self.head.sections, (*at, key), "no section is called")
        if fact.near is not None:
            path = (*at, "near", "sections")
            file.all_known(fact.near.sections, self.head.sections, path, "no section is called")
        file.all_known(fact.assertion, ASSERTIONS, (*at, "assertion"), "no assertion is called")
        file.all_known(fact.tied, TIES, (*at, "tied"), "no tie is called")
        for key in ("tags", "not_tags"):
            file.all_known(getattr(fact, key), self.tags, (*at, key), "no vocabulary rule has the tag")

    def expression(self, file: PackFile, text: str, path: KeyPath, more: Collection[str] = ()) -> None:
        """Raise PackError for an expression that cannot be read or that names an unknown fact."""
        names = {*self.facts, *more}
        for word in _WORD.findall(text):
            if word not in RESERVED:
                file.known(word, names, path, "no fact is called")
        try:
            compile_expression(text, names)
        except ExpressionError as error:
            raise file.error(path, str(error)) from None

    def _facts_known(self, file: PackFile, names: Iterable[str], path: KeyPath) -> None:
        file.all_known(names, self.facts, path, "no fact is called")

    def requirement_rule(self, file: PackFile, rule: RequirementRule, at: KeyPath) -> None:
        """One rule of a requirement."""
        self.expression(file, rule.when, (*at, "when"))
        for key in ("evidence", "a", "b"):
            self._facts_known(file, getattr(rule, key), (*at, key))

    def check_requirements(self, file: PackFile, content: RequirementsFile, alerts: Collection[str]) -> None:
        """requirements.yaml; its verdict may also ask for alerts and gaps."""
        ids = [spec.id for spec in content.requirements]
        file.once(ids, ("requirements",))
        file.known(content.irrelevant_alert, alerts, ("irrelevant_alert",), "no alert is called")
        for i, spec in enumerate(content.requirements):
            at: KeyPath = ("requirements", i)
            for j, rule in enumerate(spec.rules):
                self.requirement_rule(file, rule, (*at, "rules", j))
            match spec.value:
                case SetValue():
                    self._value_set(file, spec.value, (*at, "value"))
                case PartsValue():
                    for name, part in spec.value.parts.items():
                        self._value_set(file, part, (*at, "value", "parts", name))
                case FirstValue():
                    for j, one in enumerate(spec.value.first):
                        self._facts_known(file, [one.fact], (*at, "value", "first", j, "fact"))
        more = {*(f"alert_{name}" for name in alerts), *(f"gap_{name}" for name in ids)}
        for i, verdict in enumerate(content.verdict):
            at = ("verdict", i)
            self.expression(file, verdict.when, (*at, "when"), more)
            file.all_known(verdict.alerts, alerts, (*at, "alerts"), "no alert is called")
            file.all_known(verdict.requirements, ids, (*at, "requirements"), "no requirement is called")

    def _value_set(self, file: PackFile, value: ValueSet, at: KeyPath) -> None:
        site = self.head.linking.site
        if value.of == "site" and site is None:
            raise file.error((*at, "of"), "needs an element under linking.site in pack.yaml")
        values = self._values([site] if value.of == "site" and site else self.head.elements)
        orders: list[tuple[KeyPath, list[str]]] = [(("order",), value.order)]
        orders += [(("orders", i, "order"), other.order) for i, other in enumerate(value.orders)]
        for key, order in orders:
            file.all_known(order, values, (*at, *key), "no element has a value")
        listed = {name for _key, order in orders for name in order}
        for one, other in value.without.items():
            file.all_known((one, other), listed, (*at, "without"), "order has no value")
        for i, group in enumerate(value.groups):
            self._facts_known(file, group, (*at, "groups", i))
        self._facts_known(file, value.minus, (*at, "minus"))
        for i, choice in enumerate(value.orders):
            self._facts_known(file, [choice.fact], (*at, "orders", i, "fact"))
        for i, outcome in enumerate(value.when):
            self._facts_known(file, [outcome.fact], (*at, "when", i, "fact"))

    def check_raised(self, file: PackFile, content: AlertsFile | FlagsFile) -> None:
        """alerts.yaml or flags.yaml. Two flags of one id are two messages of it; alerts stand once."""
        items: Sequence[FlagSpec]
        if isinstance(content, AlertsFile):
            key, items = "alerts", content.alerts
            file.once((item.id for item in items), (key,))
        else:
            key, items = "flags", content.flags
            said = [(item.id, item.message) for item in items]
            for i, flag in enumerate(said):
                if flag in said[:i]:
                    raise file.error((key, i, "id"), f"{flag[0]!r} stands twice with the same message")
        for i, one in enumerate(items):
            self.expression(file, one.when, (key, i, "when"))
            self._facts_known(file, one.evidence, (key, i, "evidence"))

    def check_candidates(self, file: PackFile, content: CandidateFile, more: Collection[str]) -> None:
        """candidate_codes.yaml, its facts known already. `more`: names of alerts, gaps and flags it may ask for."""
        ids = [rule.id for rule in content.rules]
        file.once(ids, ("rules",))
        for i, rule in enumerate(content.rules):
            at: KeyPath = ("rules", i)
            self.expression(file, rule.when, (*at, "when"), more)
            for key in ("seventh", "relation", "pair"):
                for case in getattr(rule, key) or ():
                    if case.when:
                        self.expression(file, case.when, (*at, key), more)
            self._facts_known(file, rule.evidence, (*at, "evidence"))
            self._facts_known(file, (p.by for p in rule.code if isinstance(p, Part)), (*at, "code"))
            file.all_known(rule.unless_given, ids[:i], (*at, "unless_given"), "no rule above is called")

    def check_cases(self, file: PackFile, content: CaseRules, requirements: Collection[str]) -> None:
        """cases.yaml. Its facts rest on those of facts.yaml."""
        elements = self.head.elements
        for i, course in enumerate(content.course):
            at: KeyPath = ("course", i)
            file.known(course.requirement, requirements, (*at, "requirement"), "no requirement is called")
            file.known(course.element, elements, (*at, "element"), "no element is called")
            file.all_known(course.order, elements[course.element], (*at, "order"), f"{course.element} has no value")
        for key in ("states", "everywhere", "follow_up", "opinions", "corrects"):
            file.all_known(getattr(content, key), elements, (key,), "no element is called")
        file.all_known(content.cite_context, requirements, ("cite_context",), "no requirement is called")
        self.add_facts(file, FactsFile(facts=content.facts))
        for requirement, rules in content.rules.items():
            file.known(requirement, requirements, ("rules", requirement), "no requirement is called")
            for i, rule in enumerate(rules):
                at = ("rules", requirement, i)
                self.requirement_rule(file, validated(RequirementRule, rule, file.shown, file.lines, at), at)

    def check_queries(self, file: PackFile, content: QueryFile, requirements: Collection[str]) -> None:
        """queries.yaml: every fact it asks for is one, and every requirement has its questions."""
        for name in content.facts:
            file.known(name, self.facts, ("facts", name), "no fact is called")
        for name in content.requirements:
            file.known(name, requirements, ("requirements", name), "no requirement is called")
        for name in requirements:
            if name not in content.requirements:
                raise file.error(("requirements",), f"has no questions for the requirement {name!r}")
