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
from bench.service_process import Service, serving

HERE = Path(__file__).resolve().parent


def run(service: Service, key: str, cases: int, seed: int, phases: str, *without: str) -> tuple[int, str]:
    """Let schemathesis call every operation, without some of its checks. Its exit code and what it said."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", str(HERE / "schemathesis.toml")),
            *("run", f"{service.address}/openapi.json", "--header", f"Authorization: Bearer {key}"),
            *("--max-examples", str(cases), "--seed", str(seed), "--phases", phases, "--continue-on-failure"),
            *("--no-color", "--suppress-health-check", "all", "--request-timeout", "60"),
            *(part for check in without for part in ("--exclude-checks", check)),
        ]
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": "bench.schemathesis_hooks", "PYTHONPATH": str(HERE.parent)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)
    return done.returncode, done.stdout + done.stderr


def requests_logged(service: Service) -> list[dict[str, Any]]:
    """What the service's own log says of the requests it answered."""
    lines = service.log.read_text(encoding="utf-8").splitlines()
    return [entry for entry in map(_entry, lines) if entry.get("event") == "request"]


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
        key, kept = new_key("contract", per_minute=10_000_000)
        keys = Path(folder) / "keys.json"
        write_keys(keys, [kept])
        with serving(Path(folder) / "service.log", "--keys", str(keys), workers=1) as service:
            code, said = run(service, key, given.cases, given.seed, given.phases)
            requests = requests_logged(service)
    faults = [entry["fault"] for entry in requests if "fault" in entry]
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
