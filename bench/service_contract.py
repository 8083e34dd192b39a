"""Contract test of the running service: schemathesis on its whole OpenAPI description.

    python -m bench.service_contract --cases 700

`--cases` is per operation; the whole run is printed as a table of operations and statuses, with the number of calls.
Exits with 1 when a check fails or the service's log tells of a failure inside.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from api.keys import new_key, write_keys
from bench.service_process import serving

HERE = Path(__file__).resolve().parent


def run(cases: int, seed: int, folder: Path, phases: str) -> tuple[int, str, list[dict[str, Any]], list[str]]:
    """Exit code, output, calls made and faults logged."""
    clear, kept = new_key("contract", per_minute=10_000_000)
    keys = folder / "keys.json"
    write_keys(keys, [kept])
    log = folder / "service.log"
    report = folder / "report.ndjson"
    with serving(log, "--keys", str(keys), workers=1) as service:
        command = [
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", str(HERE / "schemathesis.toml")),
            *("run", f"{service.address}/openapi.json", "--header", f"Authorization: Bearer {clear}"),
            *("--max-examples", str(cases), "--seed", str(seed), "--phases", phases, "--continue-on-failure"),
            *("--no-color", "--suppress-health-check", "all", "--report", "ndjson"),
            *("--report-ndjson-path", str(report)),
        ]
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": "bench.schemathesis_hooks", "PYTHONPATH": str(HERE.parent)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)
    lines = log.read_text(encoding="utf-8").splitlines()
    requests = [entry for entry in map(_entry, lines) if entry.get("event") == "request"]
    return done.returncode, done.stdout + done.stderr, requests, [e["fault"] for e in requests if "fault" in e]


def _entry(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def table(requests: list[dict[str, Any]]) -> str:
    """Calls by route and status, as the service counted them."""
    counted: dict[str, Counter[int]] = {}
    for entry in requests:
        counted.setdefault(f"{entry['method']} {entry['route']}", Counter())[entry["status"]] += 1
    lines = ["| operation | calls | statuses |", "|---|---|---|"]
    for name, statuses in sorted(counted.items()):
        shown = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
        lines.append(f"| `{name}` | {sum(statuses.values())} | {shown} |")
    return "\n".join(lines)


def main() -> int:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cases", type=int, default=700)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--phases", default="examples,coverage,fuzzing")
    options.add_argument("--verbose", action="store_true", help="print what schemathesis says")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        code, said, requests, faults = run(given.cases, given.seed, Path(folder), given.phases)
    print(table(requests))
    errors = sum(entry["status"] == 500 for entry in requests)
    print(
        f"\n{len(requests)} calls, {errors} server errors, {len(faults)} faults logged; schemathesis exit code {code}"
    )
    if code or faults or given.verbose:
        print(said[-12000:], *faults, sep="\n")
    return 1 if code or faults or errors else 0


if __name__ == "__main__":
    sys.exit(main())
