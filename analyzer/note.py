"""One clinical document as it comes in, before anybody has read it."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")


def _iso_date(value: Any) -> Any:
    """Accept a `date` or the text YYYY-MM-DD; pydantic's lax mode would also take 0 as 1970-01-01."""
    if value is None or (isinstance(value, date) and type(value) is date):
        return value
    if isinstance(value, str) and _ISO_DATE.match(value):
        return value
    raise ValueError("must be a calendar date written YYYY-MM-DD")


def _whole_characters(value: str) -> str:
    """Refuse half a surrogate pair: it has no UTF-8 form and so no place in a report."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"holds half a character at offset {error.start}") from None
    return value


Text = Annotated[str, AfterValidator(_whole_characters)]
IsoDate = Annotated[date, BeforeValidator(_iso_date)]


class Note(BaseModel):
    """A note and what is known about it.

    `text` is kept exactly as given: every offset in a gap report counts code points of this text.
    `setting` decides how an uncertain diagnosis is read (unknown is judged as outpatient).
    `code` is the billed or considered code; it wins over the analyzer's own.
    `complete` is false while the note is still being written.
    Raises pydantic's ValidationError for a wrong type; the message never holds the note's text.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    note_id: str
    text: Text
    date_of_service: IsoDate | None = None
    note_type: str | None = None
    setting: Literal["outpatient", "inpatient"] | None = None
    author_role: str | None = None
    signed: bool | None = None
    patient_id: str | None = None
    encounter_id: str | None = None
    code: str | None = None
    complete: bool = True
