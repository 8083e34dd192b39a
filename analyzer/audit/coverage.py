"""How much of what a hospital bills the packs cover: the billed codes of a claims file, ranked by pack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analyzer.audit.cells import read_table
from analyzer.audit.claims import column_meanings, split_cells
from analyzer.codes import CodeTable, normalise
from analyzer.errors import CodeError, InputError
from analyzer.packs import available_packs, pack_covering


@dataclass(frozen=True, slots=True)
class BilledCode:
    """A billed code, the rows of the file that carry it, and its title (empty where the code table has none)."""

    code: str
    rows: int
    title: str


@dataclass(frozen=True, slots=True)
class CoveredPack:
    """A pack with those of its codes that are billed, most often first. `rows` carry at least one of them."""

    pack: str
    rows: int
    codes: list[BilledCode]


@dataclass(frozen=True, slots=True)
class Coverage:
    """`rows` of the file that carry a code, `covered` those that carry one of some pack.

    `packs` and the codes `without` a pack are ranked by rows. `unreadable` counts cells that hold no code.
    """

    rows: int
    covered: int
    packs: list[CoveredPack]
    without: list[BilledCode]
    unreadable: int


def coverage(claims_file: Path, pack_folders: Sequence[str | Path] = ()) -> Coverage:
    """Rank the billed codes of a claims file by pack; a code counts once a row.

    Raises InputError for a file that cannot be read, that has no column of codes, or that bills none.
    """
    columns, table = read_table(claims_file)
    carrying = [column for column, meaning in column_meanings(columns).items() if meaning == "codes"]
    if not carrying:
        raise InputError(f"{claims_file}:1: no column of billed codes (such as codes, dx_codes or icd10)")
    infos = available_packs(pack_folders)
    pack_of: dict[str, str] = {}
    codes: Counter[str] = Counter()
    packs: Counter[str] = Counter()
    rows = covered = unreadable = 0
    for _line, row in table:
        written = [normalise(code) for code in split_cells([row[column] for column in carrying])]
        unreadable += written.count(None)
        billed = {code for code in written if code is not None}
        for code in billed - codes.keys():
            if (pack := pack_covering(infos, code)) is not None:
                pack_of[code] = pack.id
        found = {pack_of[code] for code in billed if code in pack_of}
        rows += bool(billed)
        covered += bool(found)
        codes.update(billed)
        packs.update(found)
    if not rows:
        raise InputError(f"{claims_file}: bills no codes")
    ranked = [BilledCode(code, count, _title(code)) for code, count in sorted(codes.items(), key=_most)]
    return Coverage(
        rows,
        covered,
        [
            CoveredPack(pack, count, [c for c in ranked if pack_of.get(c.code) == pack])
            for pack, count in sorted(packs.items(), key=_most)
        ],
        [c for c in ranked if c.code not in pack_of],
        unreadable,
    )


def _most(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _title(code: str) -> str:
    try:
        return CodeTable.load().lookup(code).title
    except CodeError:
        return ""
