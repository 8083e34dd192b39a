"""Gap reports on Spark: the same packs, the same reports.

`gap_reports` is for a notebook: a DataFrame of notes in, a DataFrame of reports out. `spark_engine` lets `chartgap
audit` judge its notes on a cluster. Each Python process on the cluster builds one Analyzer and keeps it.
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

import analyzer
from analyzer.audit.run import EngineMaker
from analyzer.audit.tasks import (
    TIMES_TRIED_REASON,
    AnalyzerSource,
    GivenUp,
    Judge,
    JudgeSource,
    Tally,
    Task,
    WorkOptions,
    failure_reason,
    read_task,
    work_lines,
)
from analyzer.audit.workers import write_shard
from analyzer.errors import InputError
from analyzer.formats import note_problem
from analyzer.note import Note

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

_TASKS_AT_ONCE: Final = 8
"""Tasks a processor gets in one Spark job; so many times the processors are held by the driver."""

_PARTS_A_PROCESSOR: Final = 4
"""Partitions a processor gets in one Spark job, so that none waits long for the slowest."""

_RETRIES: Final = 4
_SHARDS: Final = "group int, part int, shard binary"
_REPORTS: Final = (
    "note_id string, case_id string, note_ids array<string>, code string, relevant boolean, verdict string, "
    "report string, failure string"
)


@dataclass(frozen=True, slots=True)
class CarriedSource:
    """The Analyzer with packs of one's own carried along as bytes: a worker need not see the driver's disk."""

    code: str | None
    packs: tuple[tuple[str, bytes], ...]

    @property
    def modules(self) -> tuple[str, ...]:
        """Spark loads what it needs."""
        return ()

    @classmethod
    def of(cls, code: str | None, pack_folders: Sequence[str | Path]) -> CarriedSource:
        """Take the files of the folders along."""
        packs = []
        for number, folder in enumerate(map(Path, pack_folders)):
            for path in sorted(p for p in folder.rglob("*") if p.is_file()):
                packs.append((f"{number}/{path.relative_to(folder).as_posix()}", path.read_bytes()))
        return cls(code, tuple(packs))

    def build(self) -> Judge:
        """Load the packs. Raises ChartgapError for a code or pack that can't be used."""
        with tempfile.TemporaryDirectory() as scratch:
            for name, content in self.packs:
                path = Path(scratch, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            folders = sorted(str(child) for child in Path(scratch).iterdir())
            return AnalyzerSource(self.code, tuple(folders)).build()


@lru_cache(maxsize=1)
def _judge(source: JudgeSource) -> Judge:
    """This process's judge, built when it is first asked for."""
    return source.build()


# For a notebook


def gap_reports(
    dataframe: DataFrame,
    *,
    code: str | None = None,
    by: str | None = None,
    pack_folders: Sequence[str | Path] = (),
) -> DataFrame:
    """Gap reports on the notes of a DataFrame, one row a note, or with `by` one row a case.

    Columns are taken by the names of a note's fields: `note_id` and `text` are needed, `date_of_service` (text or
    date), `setting`, `author_role`, `note_type`, `encounter_id`, `code` and the rest where they are there; others are
    left alone. With `by`, rows of one value are judged together in the order of `date_of_service` and `note_id`.

    The result has `note_id`, `case_id`, `note_ids`, `code`, `relevant`, `verdict`, `report` (the gap report's JSON, as
    in `reports.jsonl`) and `failure`: the reason why a row has no report. Each input row is in exactly one row's
    `note_ids`. Raises InputError for a missing column, CodeError for a code that can't be used.
    """
    from pyspark.sql import functions as F

    columns = [name for name in Note.model_fields if name in dataframe.columns]
    for name in ("note_id", "text", *([by] if by is not None else [])):
        if name not in columns:
            raise InputError(f"the DataFrame has no column {name}")
    if by == "text":
        raise InputError("text makes no cases")
    source = CarriedSource.of(code, pack_folders)
    source.build()
    notes = dataframe.select(*columns)
    if by is not None:
        # Rows without a value are spread by their id, so that they don't all fall to one worker.
        spread = F.coalesce(F.col(by).cast("string"), F.col("note_id").cast("string"))
        notes = notes.withColumn("_spread", spread).repartition("_spread")
        order = ["_spread", by, *(["date_of_service"] if "date_of_service" in columns else []), "note_id"]
        notes = notes.sortWithinPartitions(*order).drop("_spread")

    def batches(received: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from _report_batches(received, source, by)

    return notes.mapInArrow(batches, _REPORTS)


def _report_batches(
    received: Iterable[pa.RecordBatch], source: JudgeSource, by: str | None
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    schema = pa.schema(
        [
            ("note_id", pa.string()),
            ("case_id", pa.string()),
            ("note_ids", pa.list_(pa.string())),
            ("code", pa.string()),
            ("relevant", pa.bool_()),
            ("verdict", pa.string()),
            ("report", pa.string()),
            ("failure", pa.string()),
        ]
    )
    rows = _report_rows((row for batch in received for row in batch.to_pylist()), _judge(source), by)
    while some := list(islice(rows, 100)):
        yield pa.RecordBatch.from_pylist(some, schema=schema)


def _report_rows(rows: Iterable[dict[str, Any]], judge: Judge, by: str | None) -> Iterator[dict[str, Any]]:
    def together(numbered: tuple[int, dict[str, Any]]) -> tuple[str, int]:
        number, row = numbered
        value = row[by] if by is not None else None
        return ("", number) if value is None or value == "" else (str(value), -1)

    for (case, _), members in groupby(enumerate(rows), key=together):
        notes: list[Note] = []
        for _, row in members:
            note = _note(row)
            if isinstance(note, Note):
                notes.append(note)
            else:
                yield _failure([row.get("note_id")], case or None, note)
        if not notes:
            continue
        try:
            report = judge.case(notes, case_id=case) if case else judge.report(notes[0])
        except Exception as error:
            yield _failure([note.note_id for note in notes], case or None, failure_reason(error))
            continue
        yield {
            "note_id": report.note_id,
            "case_id": report.case_id,
            "note_ids": report.note_ids,
            "code": report.code,
            "relevant": report.relevant,
            "verdict": report.verdict,
            "report": report.to_json(),
            "failure": None,
        }


def _note(row: Mapping[str, Any]) -> Note | str:
    """The row's note, or what is wrong with it."""
    fields = {name: value for name, value in row.items() if value is not None}
    day = fields.get("date_of_service")
    if isinstance(day, date):
        fields["date_of_service"] = (day.date() if isinstance(day, datetime) else day).isoformat()
    for name in ("note_id", "encounter_id", "patient_id"):
        if isinstance(fields.get(name), int):
            fields[name] = str(fields[name])
    try:
        return Note.model_validate(fields)
    except ValidationError as error:
        return note_problem(error, fields)


def _failure(note_ids: Sequence[Any], case_id: str | None, reason: str) -> dict[str, Any]:
    ids = [str(n) for n in note_ids if n is not None]
    return {"note_id": ids[0] if ids else None, "case_id": case_id, "note_ids": ids, "failure": reason}


# For `chartgap audit --engine spark`


def spark_engine(processors: int | None = None) -> EngineMaker:
    """An audit's engine on Spark: the session that is active, else the master `spark-submit` set, else this machine.

    `processors` counts for this machine only. The driver reads the inputs and writes the outputs.
    """
    return lambda source, options, shards: SparkEngine(source, options, shards, processors)


class SparkEngine:
    """Hands tasks to Spark, some at a time, and writes the shards that come back."""

    def __init__(self, source: JudgeSource, options: WorkOptions, shards: Path, processors: int | None) -> None:
        self._options, self._shards, self._processors = options, shards, processors
        self._source = source
        if isinstance(source, AnalyzerSource):
            self._source = CarriedSource.of(source.code, source.pack_folders)
        self._spark: SparkSession | None = None
        self._own = False
        self.code = ""

    def __enter__(self) -> SparkEngine:
        return self

    def __exit__(self, *error: object) -> None:
        if self._own and self._spark is not None:
            self._spark.stop()

    def start(self) -> None:
        """Check the code and packs here, and get a session. Raises InputError without pyspark or Java."""
        self.code = self._source.build().code
        try:
            from pyspark.sql import SparkSession
        except ImportError:
            raise InputError("--engine spark needs pyspark: install chartgap[spark]") from None
        self._spark = SparkSession.getActiveSession()
        if self._spark is None:
            self._spark, self._own = _new_session(self._processors), True

    def run(self, tasks: Iterator[Task]) -> Iterator[Tally]:
        """Work the tasks off, a window of them a Spark job."""
        assert self._spark is not None
        at_once = _TASKS_AT_ONCE * _parallelism(self._spark)
        while window := [read_task(task, self._options.reading) for task in islice(tasks, at_once)]:
            shards = self._shards_of([(task, {}) for task in window])
            if shards is None:
                yield from map(self._one_by_one, window)
                continue
            for task, shard in zip(window, shards, strict=True):
                yield self._written(task, shard)

    def _written(self, task: Task, shard: str) -> Tally:
        return Tally.from_trailer(write_shard(self._shards, task.key, iter(shard.split("\n")[:-1])))

    def _one_by_one(self, task: Task) -> Tally:
        """A task of a job that failed: whatever kills the workers in it is found and given up."""
        shards = self._shards_of([(task, {})])
        if shards is None:
            if self._shards_of([(Task(task.key), {})]) is None:
                raise InputError("Spark's workers can't judge any note: is the same Chartgap installed on them?")
            given_up = {number: GivenUp(TIMES_TRIED_REASON, False) for number in self._killers(task, 0)}
            shards = self._shards_of([(task, given_up)])
        if shards is None:
            raise InputError("Spark's workers end on notes that they judged before: out of memory?")
        return self._written(task, shards[0])

    def _killers(self, task: Task, first: int) -> list[int]:
        """Numbers of the units (the task's first one has `first`) that kill a worker, by halving."""
        if self._shards_of([(task, {})]) is not None:
            return []
        if len(task.units) == 1:
            return [first]
        half = len(task.units) // 2
        left, right = Task(task.key, task.units[:half]), Task(task.key, task.units[half:])
        return [*self._killers(left, first), *self._killers(right, first + half)]

    def _shards_of(self, tasks: Sequence[tuple[Task, dict[int, GivenUp]]]) -> list[str] | None:
        """The tasks' shards in their order, or None where Spark gave the job up."""
        assert self._spark is not None
        source, options = self._source, self._options

        def shards(received: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            yield from _shard_batches(received, source, options)

        rows = [(*pair[0].key, bytearray(pickle.dumps(pair))) for pair in tasks]
        given = self._spark.createDataFrame(rows, "group int, part int, task binary").repartition(
            min(len(rows), _parallelism(self._spark) * _PARTS_A_PROCESSOR)
        )
        try:
            done = given.mapInArrow(shards, _SHARDS).collect()
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("pyspark", "py4j"):
                raise
            return None
        by_key = {(row.group, row.part): bytes(row.shard).decode("utf-8") for row in done}
        return [by_key[task.key] for task, _ in tasks]


def _shard_batches(
    received: Iterable[pa.RecordBatch], source: JudgeSource, options: WorkOptions
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    schema = pa.schema([("group", pa.int32()), ("part", pa.int32()), ("shard", pa.binary())])
    for batch in received:
        for row in batch.to_pylist():
            task, given_up = pickle.loads(row["task"])
            lines = work_lines(task, _judge(source), options, given_up, lambda unit, reading: None)
            shard = "".join(line + "\n" for line in lines).encode("utf-8")
            yield pa.RecordBatch.from_pylist(
                [{"group": row["group"], "part": row["part"], "shard": shard}], schema=schema
            )


def _parallelism(spark: SparkSession) -> int:
    try:
        return int(spark.sparkContext.defaultParallelism)
    except Exception:
        # A Spark Connect session has no context to ask.
        return _TASKS_AT_ONCE


def _new_session(processors: int | None) -> SparkSession:
    from pyspark import SparkConf
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    # Spark would take the first python3 on the path, which may know nothing of this package.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    home = str(Path(analyzer.__file__).parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    builder = SparkSession.builder.appName("chartgap audit").config("spark.ui.showConsoleProgress", "false")
    if not SparkConf().contains("spark.master"):
        builder = builder.master(f"local[{processors or '*'},{_RETRIES}]").config("spark.ui.enabled", "false")
    try:
        spark = builder.getOrCreate()
    except (PySparkException, OSError) as error:
        raise InputError(f"--engine spark: no Spark session ({type(error).__name__}); is Java installed?") from None
    spark.sparkContext.setLogLevel("OFF")
    return spark
