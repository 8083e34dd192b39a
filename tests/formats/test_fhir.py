"""FHIR: one note for a resource whatever its attachments, withdrawn ones refused, Bundles and bulk exports."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from format_files import MARK, note_of, pdf, read, reason_of


def b64(data: bytes | str) -> str:
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def attachment(data: bytes | str, media_type: str = "text/plain", **more: Any) -> dict[str, Any]:
    return {"contentType": media_type, "data": b64(data), **more}


def document(*attachments: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "DocumentReference",
        "id": "d1",
        "status": "current",
        "content": [{"attachment": a} for a in attachments],
        **more,
    }


def report(**more: Any) -> dict[str, Any]:
    return {"resourceType": "DiagnosticReport", "id": "r1", "status": "final", **more}


def bundle(*resources: Any) -> str:
    entries = [
        {"fullUrl": f"https://example.org/{r.get('resourceType')}/{r.get('id')}", "resource": r} for r in resources
    ]
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries})


def test_what_a_document_reference_says() -> None:
    resource = document(
        attachment("Fell on ice."),
        docStatus="final",
        type={"coding": [{"system": "http://loinc.org", "code": "11506-3", "display": "Progress note"}]},
        subject={"reference": "Patient/p1"},
        date="2025-03-12T08:00:00Z",
        context={"encounter": [{"reference": "Encounter/e1"}], "period": {"start": "2025-03-10T23:30:00-05:00"}},
    )
    note = note_of(json.dumps(resource), "export.json")
    assert note.model_dump(mode="json", exclude={"complete", "code", "setting", "author_role"}) == {
        "note_id": "d1",
        "text": "Fell on ice.",
        "date_of_service": "2025-03-10",
        "note_type": "Progress note",
        "signed": True,
        "patient_id": "p1",
        "encounter_id": "e1",
    }


def test_the_day_a_document_was_filed_is_not_silently_its_day_of_service() -> None:
    (record,) = read(json.dumps(document(attachment("x"), date="2025-03-12T08:00:00Z")))
    assert record.note is not None
    assert str(record.note.date_of_service) == "2025-03-12"
    assert record.warnings == ("date_of_service is the day the document was made: it names no visit",)
    assert note_of(json.dumps(document(attachment("x"), date="2025-03"))).date_of_service is None


@pytest.mark.parametrize("order", [1, -1])
def test_the_same_note_in_several_types_is_one_note(order: int) -> None:
    forms = [
        attachment("{\\rtf1 rich}", "application/rtf"),
        attachment("<p>page</p>", "text/html"),
        attachment("plain", "text/plain; charset=utf-8"),
    ][::order]
    assert note_of(json.dumps(document(*forms))).text == "plain"
    assert note_of(json.dumps(document(*(f for f in forms if "plain" not in f["contentType"])))).text == "page"


def test_a_form_that_cannot_be_read_gives_way_to_the_next() -> None:
    (record,) = read(
        json.dumps(document({"contentType": "text/plain", "data": "@@"}, attachment("<p>page</p>", "text/html")))
    )
    assert record.note is not None
    assert record.note.text == "page"
    assert record.warnings == ("attachment (text/plain): is no valid base64",)


def test_attachments_of_one_type_are_parts_of_the_note() -> None:
    assert note_of(json.dumps(document(attachment("first"), attachment("second")))).text == "first\n\nsecond"


@pytest.mark.parametrize(
    ("data", "media_type", "text"),
    [
        ("caf\u00e9".encode("latin-1"), "text/plain", "café"),
        ("café".encode("utf-16-le"), "text/plain; charset=UTF-16LE", "café"),
        (b"{\\rtf1 kept{\\v gone}}", "text/plain", "kept"),
        (pdf("printed"), "application/pdf", "printed"),
        (
            b"<ClinicalDocument><component><nonXMLBody><text>cda</text></nonXMLBody></component></ClinicalDocument>",
            "text/xml",
            "cda",
        ),
    ],
)
def test_attachments_of_every_type(data: bytes, media_type: str, text: str) -> None:
    assert note_of(json.dumps(document(attachment(data, media_type)))).text == text


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        (document(attachment(MARK), status="entered-in-error"), "entered-in-error"),
        (document(attachment(MARK), docStatus="entered-in-error"), "entered-in-error"),
        (report(status="cancelled", conclusion=MARK), "cancelled"),
        (document({"contentType": "text/plain", "url": f"https://example.org/Binary/{MARK}"}), "a link (url)"),
        (document({"contentType": "text/plain"}), "neither data nor a url"),
        (document(attachment("")), "is empty"),
        (document(attachment(b"\x89PNG" + MARK.encode(), "image/png")), "no text layer"),
        (document(attachment(pdf(""), "application/pdf")), "no text layer"),
        (document(attachment(MARK, "application/pdf")), "is said to be PDF, but is none"),
        (document(), "without an attachment"),
        (document({"contentType": 7, "data": MARK}), "content.0.attachment.contentType: Input should be"),
        ({"resourceType": "DocumentReference", "content": MARK}, "content: Input should be"),
        (report(), "without text"),
        ({"resourceType": "Composition", "section": []}, "without text"),
        ({"resourceType": "Composition", "section": [{"section": [MARK]}]}, "Input should be"),
        ({"resourceType": "Patient", "id": MARK}, "no note"),
    ],
)
def test_resources_that_give_no_note(resource: dict[str, Any], reason: str) -> None:
    assert reason in reason_of(json.dumps(resource), "x.json")
    assert reason in reason_of(json.dumps(resource) + "\n", "x.ndjson")


def test_an_attachment_shorter_than_it_says() -> None:
    (record,) = read(json.dumps(document(attachment("cut", size=100))))
    assert record.warnings == ("an attachment is not as long as it says: it may be cut off",)


def test_diagnostic_reports() -> None:
    found = report(
        code={"text": "MRI sacrum"},
        effectiveDateTime="2025-02-01",
        presentedForm=[attachment("Healed fracture.")],
        conclusion="Old fracture of S2.",
        subject={"identifier": {"value": "mrn-1"}},
        encounter={"reference": "https://example.org/Encounter/e1/_history/2"},
    )
    note = note_of(json.dumps(found))
    assert note.text == "Healed fracture.\n\nConclusion:\nOld fracture of S2.\n"
    assert (str(note.date_of_service), note.note_type, note.patient_id, note.encounter_id, note.signed) == (
        "2025-02-01",
        "MRI sacrum",
        "mrn-1",
        "e1",
        True,
    )
    within = note_of(json.dumps({**found, "conclusion": "Healed\nfracture."}))
    assert within.text == "Healed fracture."
    assert note_of(json.dumps(report(conclusion="Alone."))).text == "Conclusion:\nAlone.\n"
    assert note_of(json.dumps(report(text={"div": "<div><p>a</p></div>"}, status="preliminary"))).signed is False


def test_compositions() -> None:
    found = {
        "resourceType": "Composition",
        "id": "c1",
        "status": "final",
        "section": [
            {"title": "A", "text": {"div": "<div>one<br/>two</div>"}},
            {
                "code": {"coding": [{"code": "10164-2"}]},
                "section": [{"title": "Inner", "text": {"div": "<div>x</div>"}}],
            },
            {"code": {"coding": [{"code": "51848-0"}]}, "text": {"div": "<div>y</div>"}},
        ],
    }
    assert note_of(json.dumps(found)).text == "A:\none\ntwo\n\nInner:\nx\n\nAssessment:\ny\n"


def test_a_bundle_gives_a_record_for_each_document_and_uses_the_rest() -> None:
    records = read(
        bundle(
            {"resourceType": "Patient", "id": "p1"},
            {
                "resourceType": "Encounter",
                "id": "e1",
                "class": {"code": "IMP"},
                "period": {"start": "2025-01-05T10:00:00Z"},
            },
            {"resourceType": "PractitionerRole", "id": "x", "code": [{"text": "Physical therapist"}]},
            {"resourceType": "Binary", "id": "b1", "contentType": "text/plain", "data": b64("from the Binary")},
            document(
                {"url": "Binary/b1"},
                author=[{"reference": "PractitionerRole/x"}],
                context={"encounter": [{"reference": "Encounter/e1"}]},
            ),
            document(
                attachment("y"),
                id="d2",
                relatesTo=[{"code": "replaces", "target": {"reference": "DocumentReference/d1"}}],
            ),
            document(attachment("z"), id=None),
            document(attachment("z"), id="d4", status="entered-in-error"),
        ),
        "b.json",
    )
    assert [(r.number, r.note_id) for r in records] == [(5, "d1"), (6, "d2"), (7, "b.json#7"), (8, "d4")]
    first = records[0].note
    assert first is not None
    assert (first.text, first.setting, first.author_role) == ("from the Binary", "inpatient", "Physical therapist")
    assert str(first.date_of_service) == "2025-01-05"
    assert records[0].warnings == ("superseded: a later version of this document exists",)
    assert records[1].warnings == ()
    assert records[3].place == "b.json: entry 8"


def test_contained_resources_and_a_superseded_document() -> None:
    contained = [
        {"resourceType": "Binary", "id": "in", "data": b64("inside")},
        {"resourceType": "Practitioner", "id": "who", "qualification": [{"code": {"text": "MD"}}]},
    ]
    (record,) = read(
        json.dumps(document({"url": "#in"}, contained=contained, author=[{"reference": "#who"}], status="superseded"))
    )
    assert record.note is not None
    assert (record.note.text, record.note.author_role) == ("inside", "MD")
    assert record.warnings == ("superseded: a later version of this document exists",)


def test_bundles_without_notes() -> None:
    assert "the Bundle holds no DocumentReference" in reason_of(bundle({"resourceType": "Patient"}), "b.json")
    assert "the Bundle holds no" in reason_of('{"resourceType": "Bundle", "entry": "x"}', "b.json")
    reasons = [r.reason for r in read('{"resourceType": "Bundle", "entry": [3, {"resource": 4}]}', "b.json")]
    assert reasons == ["an entry of the Bundle is no resource"] * 2


def test_a_bulk_export_accounts_for_every_line() -> None:
    lines = [
        json.dumps({"resourceType": "Patient", "id": "1"}),
        json.dumps({"resourceType": "Patient", "id": "2"}),
        json.dumps(document(attachment("x"))),
        '{"resourceType": "DocumentReference", ',
        json.dumps({"note_id": "n", "text": "beside"}),
        bundle(document(attachment("y"), id="in-bundle")),
        json.dumps({"resourceType": "Patient", "id": "3"}),
    ]
    records = read("\n".join(lines), "DocumentReference.ndjson")
    assert [(r.number, r.note_id, r.reason and r.reason[:40]) for r in records] == [
        (1, None, "Patient resources hold no note (lines 1 "),
        (3, "d1", None),
        (4, None, "not valid JSON: Expecting property name "),
        (5, "n", None),
        (6, "in-bundle", None),
        (7, None, "Patient resources hold no note (line 7)"),
    ]
    assert sum(r.size for r in records) >= len("".join(lines))


def test_r5_documents_are_read_where_they_are_like_r4() -> None:
    resource = document(attachment("x"), context=[{"reference": "Encounter/e5"}], period={"start": "2025-05-05"})
    note = note_of(json.dumps(resource))
    assert (note.encounter_id, str(note.date_of_service)) == ("e5", "2025-05-05")


def test_a_resource_is_read_whatever_the_file_is_called() -> None:
    assert note_of(json.dumps(document(attachment("x"))), "export.txt").note_id == "d1"
    assert (
        note_of(json.dumps(document(attachment("x")), indent=2), "export", media_type="application/fhir+json").text
        == "x"
    )
    assert [
        r.note_id for r in read(json.dumps([document(attachment("x")), {"note_id": "n", "text": "y"}]), "a.json")
    ] == [
        "d1",
        "n",
    ]
