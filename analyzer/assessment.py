"""One pack's judgement of one linked reading: requirements, alerts, flags, verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from analyzer.dates import DateReader
from analyzer.judging import Fact, FactBook, Facts, Node, Spot, compile_expression
from analyzer.linking import Linked


@dataclass(slots=True)
class Judged:
    """A requirement's status with the rule that gave it."""

    id: str
    label: str
    basis: str
    status: str
    value: Any
    reason: str
    spots: list[Spot]
    send_query: str
    sources: list[str]
    sides: dict[int, str]


@dataclass(slots=True)
class Raised:
    """An alert or review flag that holds."""

    id: str
    message: str
    spots: list[Spot]
    severity: str = "info"
    codes: tuple[str, ...] = ()


@dataclass(slots=True)
class Assessment:
    """Everything judged of one note for one code."""

    requirements: list[Judged]
    alerts: list[Raised]
    flags: list[Raised]
    verdict: str
    verdict_rule: str
    verdict_requirements: list[str]
    verdict_alerts: list[str]
    relevant: bool
    facts: Facts
    env: dict[str, bool]


class Judge:
    """Compiled rules of one pack, which were checked when it was loaded."""

    def __init__(self, data: Mapping[str, Any], dates: DateReader) -> None:
        self.facts = FactBook(data["facts"]["facts"], dates)
        self._requirements = data["requirements"]["requirements"]
        self._alerts = data["alerts"]["alerts"]
        self._flags = data["flags"]["flags"] if "flags" in data else []
        names = self.facts.names
        rules = [*(r for spec in self._requirements for r in spec["rules"]), *self._alerts, *self._flags]
        self._nodes: dict[int, Node] = {id(rule): compile_expression(rule["when"], names) for rule in rules}
        extra = [f"alert_{a['id']}" for a in self._alerts] + [f"gap_{r['id']}" for r in self._requirements]
        # What rules that come after the judgement may ask for.
        self.names = [*names, *extra, *dict.fromkeys(f"flag_{f['id']}" for f in self._flags)]
        self._verdict = data["requirements"]["verdict"]
        for rule in self._verdict:
            self._nodes[id(rule)] = compile_expression(rule["when"], [*names, *extra])
        self._irrelevant = data["requirements"]["irrelevant_alert"]

    def assess(self, linked: Linked, service: date | None, about: Mapping[str, str | None]) -> Assessment:
        """Judge one linked reading; deterministic. `about`: setting, author_role, note_type and code of the note."""
        facts = self.facts.evaluate(linked, service, about)
        env = facts.holds
        alerts = [
            Raised(
                a["id"], a["message"], _gather(a.get("evidence", ()), facts), a["severity"], tuple(a.get("codes", ()))
            )
            for a in self._alerts
            if self._nodes[id(a)](env)
        ]
        raised = {a.id for a in alerts}
        relevant = self._irrelevant not in raised
        requirements: list[Judged] = []
        for spec in self._requirements:
            requirements.append(self._requirement(spec, facts, env, linked, relevant))
        flags = [
            Raised(f["id"], f["message"], _gather(f.get("evidence", ()), facts))
            for f in self._flags
            if self._nodes[id(f)](env)
        ]
        env.update({f"alert_{a['id']}": a["id"] in raised for a in self._alerts})
        env.update({f"gap_{r.id}": r.status != "documented" for r in requirements})
        env.update({f"flag_{f['id']}": False for f in self._flags})
        env.update({f"flag_{f.id}": True for f in flags})
        for rule in self._verdict:
            if self._nodes[id(rule)](env):
                break
        gaps = [r.id for r in requirements if r.status != "documented" and r.id in rule.get("requirements", ())]
        because = [a.id for a in alerts if a.id in rule.get("alerts", ())]
        return Assessment(
            requirements, alerts, flags, rule["verdict"], rule["rule"], gaps, because, relevant, facts, env
        )

    def _requirement(
        self,
        spec: Mapping[str, Any],
        facts: Mapping[str, Fact],
        env: Mapping[str, bool],
        linked: Linked,
        relevant: bool,
    ) -> Judged:
        chosen: Mapping[str, Any] | None = None
        for rule in spec["rules"]:
            if self._nodes[id(rule)](env):
                chosen = rule
                break
        if chosen is None:
            chosen = {"status": "missing", "reason": spec["missing"], "evidence": []}
        status = chosen["status"]
        spots = _gather(chosen.get("evidence", ()), facts) if status != "missing" else []
        sides: dict[int, str] = {}
        for side in ("a", "b"):
            for spot in _gather(chosen.get(side, ()), facts)[:2]:
                sides.setdefault(spot.start, side)
                if spot not in spots:
                    spots.append(spot)
        value = self._value(spec, chosen, status, facts, env, linked)
        if not relevant or status == "documented":
            send = "no"
        elif status == "conflicting" or spec["basis"] == "coding":
            send = "yes"
        else:
            send = "optional"
        return Judged(
            spec["id"],
            spec["label"],
            spec["basis"],
            status,
            value,
            chosen["reason"],
            spots,
            send,
            list(spec["sources"]),
            sides,
        )

    @staticmethod
    def _value(
        spec: Mapping[str, Any],
        chosen: Mapping[str, Any],
        status: str,
        facts: Mapping[str, Fact],
        env: Mapping[str, bool],
        linked: Linked,
    ) -> Any:
        kind = spec["value"]
        if "value" in chosen:
            given = chosen["value"]
            if isinstance(given, dict) and "groups" in given:
                return _set(given, facts, env) or list(given["otherwise"])
            return given
        if kind["kind"] == "none":
            return None
        if kind["kind"] == "set":
            return _set(kind, facts, env)
        if kind["kind"] == "parts":
            return {part: _set(entry, facts, env) for part, entry in kind["parts"].items()}
        if kind["kind"] == "event":
            return linked.event.value if linked.event is not None and status != "missing" else None
        if kind["kind"] == "date":
            if status != "documented" or linked.date is None:
                return None
            d = linked.date.mention
            return {"earliest": d.earliest.isoformat(), "latest": d.latest.isoformat()}  # type: ignore[union-attr]
        for entry in kind["first"] if status != "missing" else ():
            if env[entry["fact"]]:
                return entry["is"]
        return None


def _set(kind: Mapping[str, Any], facts: Mapping[str, Fact], env: Mapping[str, bool]) -> list[str]:
    """Distinct values (or sites) of some facts' mentions, in the pack's order."""
    for entry in kind.get("when", ()):
        if env[entry["fact"]]:
            return list(entry["is"])
    found: set[str] = set()
    for group in kind.get("groups", ()):
        for name in group:
            found.update(s.value if kind["of"] == "value" else "" for s in facts[name].spots)
            if kind["of"] == "site":
                found.update(v for s in facts[name].spots for v in s.site)
        found.discard("")
        order = next((o["order"] for o in kind.get("orders", ()) if env[o["fact"]]), kind["order"])
        if found.intersection(order):
            break
    for name in kind.get("minus", ()):
        found.difference_update(s.value for s in facts[name].spots)
    # A value that another one of the set already says more exactly.
    found.difference_update([value for value, other in kind.get("without", {}).items() if other in found])
    order = next((o["order"] for o in kind.get("orders", ()) if env[o["fact"]]), kind["order"])
    return [v for v in order if v in found]


def _gather(names: Any, facts: Mapping[str, Fact]) -> list[Spot]:
    return list(dict.fromkeys(spot for name in names for spot in facts[name].spots))
