"""Kinds of sentence that stock ConText gets wrong, each eight times both ways. `<...>` marks the mention.

One way the cue speaks of the mention; the other way the same or a like cue stands there and does not.
"""

from __future__ import annotations

import re

import pytest

from analyzer.packs import load_pack
from analyzer.reading.reader import Reader
from analyzer.reading.words import word_range

MARK = re.compile(r"<([^>]+)>")

# kind -> (assertion, sentences), (other assertion, sentences)
BATTERY: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "negative for": (
        (
            "negated",
            """
            The exam is negative for <step-off>.
            Films were negative for <displacement> and callus.
            ROS is negative for <numbness>.
            Her review is negative for weakness, <tingling> or incontinence.
            CT negative for <nonunion>.
            Straight leg raise negative for <radicular pain>.
            Neg for <saddle numbness>.
            MRI was negative for <marrow edema>.
            """,
        ),
        (
            "affirmed",
            """
            Negative for fever but <numbness> is present.
            The exam is positive for <step-off>.
            Urine culture grew gram negative rods, <numbness> unchanged.
            Negative for weakness; <tingling> in both feet.
            ROS negative except <numbness> in the foot.
            Wound treated with negative pressure, <tenderness> over the coccyx.
            Negative for infection. <Angulation> of S3.
            CT was positive for <nonunion>.
            """,
        ),
    ),
    "without contrast": (
        (
            "negated",
            """
            Healed without <angulation>.
            Alignment is normal without <subluxation>.
            He walks without <weakness>.
            Sacrum intact without <fracture> or lucency.
            Without any <tenderness> at the tailbone.
            Without evidence of <malunion>.
            Reflexes symmetric without <sensory loss>.
            Bladder empties without <retention>.
            """,
        ),
        (
            "affirmed",
            """
            MRI without contrast demonstrates <angulation>.
            CT without contrast shows <nonunion> of S4.
            MRI pelvis without and with contrast: <edema> of S2.
            CT of the pelvis without IV contrast reveals <callus>.
            He sits without difficulty despite <deformity>.
            She was treated without surgery and has <kyphosis>.
            CT without contrast, <sclerosis> at S3.
            Rode without a helmet and has a <fracture>.
            """,
        ),
    ),
    "no change in": (
        (
            "negated",
            """
            No <angulation> on the new films.
            There is no <subluxation>.
            No new <numbness>.
            No residual <weakness>.
            No acute <fracture>.
            No significant <displacement> or deformity.
            No focal <deficit>.
            Shows no <callus>.
            """,
        ),
        (
            "affirmed",
            """
            No change in <angulation> since May.
            There is no significant change in the <kyphosis>.
            No interval change in <displacement>.
            No change <numbness> of the left foot.
            No increase in <listhesis>.
            <Angulation> without change.
            No improvement in <tailbone pain>.
            No relief of <coccydynia> with a cushion.
            """,
        ),
    ),
    "not only": (
        (
            "negated",
            """
            It is not <displaced>.
            Does not have <numbness>.
            The coccyx is not <angulated>.
            He did not have <weakness>.
            She has not had <incontinence>.
            Films did not show <nonunion>.
            It does not demonstrate <subluxation>.
            Findings are not suggestive of <malunion>.
            """,
        ),
        (
            "affirmed",
            """
            Not only <kyphosis> but also sclerosis.
            She has not only <numbness> but weakness.
            There is not only <angulation> of the coccyx but arthrosis.
            Not just <tenderness>, also swelling.
            Pain is not controlled, <numbness> of the foot.
            He is not sleeping, <tailbone pain> all night.
            She is not improved, <numbness> as before.
            Not feeling well, <weakness> of the leg.
            """,
        ),
    ),
    "the negation ends": (
        (
            "negated",
            """
            No fever, chills or <numbness>.
            Denies weakness, tingling and <incontinence>.
            No malunion, nonunion or <listhesis>.
            Denies bowel or <bladder incontinence>.
            He denies any leg <weakness>.
            No step-off, no <crepitus>.
            Neither weakness nor <numbness>.
            Patient denies <saddle numbness>.
            """,
        ),
        (
            "affirmed",
            """
            No fever; <numbness> is present.
            No fever but <numbness> persists.
            Denies weakness, however <tingling> continues.
            No red flags other than <numbness>.
            No fractures except a <coccyx fracture>.
            Denies fever. <Numbness> of the heel.
            No displacement although <angulation> remains.
            No weakness, though she does have <numbness>.
            """,
        ),
    ),
    "cannot rule out": (
        (
            "possible",
            """
            Cannot rule out <fracture>.
            Can not rule out a <nonunion>.
            Unable to rule out <fracture> of S3.
            Could not rule out <dislocation>.
            We can't rule out <fracture>.
            Cannot exclude <subluxation>.
            Unable to exclude a subtle <fracture>.
            <Nonunion> cannot be ruled out.
            """,
        ),
        (
            "negated",
            """
            <Fracture> was ruled out.
            CT rules out <fracture>.
            He was ruled out for <fracture>.
            <Nonunion> has been ruled out.
            <Dislocation> is excluded.
            <Subluxation> was excluded on sitting films.
            <Fracture> is ruled out by CT.
            <Infection> ruled out.
            """,
        ),
    ),
    "not wearing a seatbelt": (
        (
            "negated",
            """
            He never <fell>.
            She did not have a <fall>.
            There was no <crash>.
            Denies any <fall>.
            No recent <falls>.
            Without a <fall> or blow.
            She denies <trauma>.
            No history of <trauma>.
            """,
        ),
        (
            "affirmed",
            """
            He was not wearing a seatbelt and sustained a <sacral fracture>.
            Not belted, <ejected> from the car.
            Without a helmet he <fell> off the bike.
            She was not wearing a helmet and <fractured> her coccyx.
            Not wearing a harness when he <fell>.
            Was not belted and sustained a <contusion> of the sacrum.
            No helmet, <thrown> from the horse.
            Not wearing pads; <kicked> on the tailbone.
            """,
        ),
    ),
    "could not walk": (
        (
            "negated",
            """
            He does not report <numbness>.
            She did not report <weakness>.
            We do not see <instability>.
            He has no <gait weakness>.
            Not experiencing <numbness>.
            She does not endorse <tingling>.
            <Weakness> is not seen.
            <Numbness> not reported.
            """,
        ),
        (
            "affirmed",
            """
            He could not walk due to <numbness>.
            She cannot sit because of <tailbone pain>.
            Could not sit because of the <coccyx fracture>.
            Unable to sit due to <coccydynia>.
            He cannot walk because of <weakness>.
            Not able to bear weight due to <sacral pain>.
            She was unable to sit from the <bruise>.
            No sleep because of <numbness>.
            """,
        ),
    ),
    "evaluate for": (
        (
            "possible",
            """
            CT to evaluate for <nonunion>.
            Evaluate for <fracture>.
            MRI to assess for <malunion>.
            Assess for <instability>.
            Imaging looking for <fracture>.
            Rule out <fracture> of the coccyx.
            R/O <sacral fracture>.
            Films were ordered to evaluate for <subluxation>.
            """,
        ),
        (
            "affirmed",
            """
            Evaluated today, <fracture> of S3 is healed.
            Looking for a letter; <fracture> of the coccyx is healed.
            To evaluate for infection; <fracture> is healed.
            Evaluation shows <subluxation>.
            The assessment is <malunion>.
            He was assessed and has <instability>.
            Assessed in clinic: <coccydynia>.
            Evaluated by CT which shows <nonunion>.
            """,
        ),
    ),
    "fracture without displacement": (
        (
            "affirmed",
            """
            <Fracture> without displacement.
            <Fracture> of S3 without significant displacement.
            Healed <fracture> without displacement.
            Coccyx <fracture>, no displacement.
            <Contusion> without fracture.
            Healed <fracture> with no step-off.
            <Callus> without lucency.
            <Kyphosis> without instability.
            """,
        ),
        (
            "negated",
            """
            Fracture without <angulation>.
            Contusion without <fracture>.
            Healed fracture with no <step-off>.
            Kyphosis without <instability>.
            Callus without <lucency>.
            Coccyx fracture, no <dislocation>.
            Healed in line without <malunion>.
            Sclerosis without <nonunion>.
            """,
        ),
    ),
    "suspected": (
        (
            "possible",
            """
            Suspected <nonunion>.
            A <nonunion> is suspected.
            I suspect a <fracture>.
            <Instability> was suspected.
            There is suspicion of <fracture>.
            Suspicious for <malunion>.
            Films raise concern for <nonunion>.
            She suspects a <dislocation>.
            """,
        ),
        (
            "affirmed",
            """
            Suspected infection; <fracture> is healed.
            Suspected cyst. <Fracture> of the coccyx.
            <Fracture> healed, a cyst is suspected.
            Suspected strain, however CT shows <fracture>.
            We suspected strain but there is a <fracture>.
            Concern for infection; <kyphosis> unchanged.
            <Kyphosis> of the sacrum; infection is suspected.
            Suspicious mole. <Coccydynia> is worse.
            """,
        ),
    ),
    "questionable": (
        (
            "possible",
            """
            Questionable <fracture> of S4.
            Questionable <nonunion>.
            ?<fracture> of the coccyx.
            There is a question of <malunion>.
            <Callus> is questionable.
            Equivocal for <nonunion>.
            Possibly <subluxation>.
            A possible <contusion>.
            """,
        ),
        (
            "affirmed",
            """
            Questionable lucency; <fracture> is healed.
            He had a question. <Coccydynia> is worse.
            Questionable cyst but <fracture> is plain.
            Questions answered; <kyphosis> explained.
            Possible cyst; <callus> is solid.
            <Fracture> healed, possible cyst.
            Questionable disc bulge, however <angulation> is clear.
            Equivocal labs. <Angulation> of the coccyx.
            """,
        ),
    ),
    "may represent": (
        (
            "possible",
            """
            This may represent <nonunion>.
            Lucency may represent a <fracture>.
            It might represent <callus>.
            The line could represent a <fracture>.
            Findings may reflect <malunion>.
            There may be a <fracture>.
            This could be <subluxation>.
            He may have <instability>.
            """,
        ),
        (
            "affirmed",
            """
            Since May he has <coccydynia>.
            In May the <fracture> healed.
            The cyst may represent a bursa; <fracture> is healed.
            It may be gas. <Angulation> is fixed.
            He may drive. <Kyphosis> is fixed.
            She may return to work; <fracture> is healed.
            The nodule could be a lipoma but <angulation> is real.
            May 2019 films show <angulation>.
            """,
        ),
    ),
    "cannot be excluded": (
        (
            "possible",
            """
            <Fracture> cannot be excluded.
            A <nonunion> cannot be excluded.
            <Subluxation> could not be excluded.
            <Fracture> can not be excluded.
            <Dislocation> not excluded.
            <Fracture> cannot be confirmed.
            <Malunion> is possible.
            <Nonunion> is a consideration.
            """,
        ),
        (
            "affirmed",
            """
            <Fracture> healed; infection cannot be excluded.
            <Angulation> of S3. A cyst cannot be excluded.
            <Kyphosis> is fixed; a mass could not be excluded.
            <Fracture> has healed, although cyst cannot be excluded.
            <Callus> is solid but infection cannot be excluded.
            <Sclerosis> of S2; neoplasm not excluded.
            <Deformity> of the coccyx. Infection is possible.
            <Nonunion> at S4; edema cannot be ruled out.
            """,
        ),
    ),
    "old": (
        (
            "historical",
            """
            Old <fracture> of S3.
            An old <coccyx fracture>.
            There is an old <sacral injury>.
            Old healed <fracture>.
            Previous <fracture>.
            Prior <sacral fracture>.
            A former <dislocation>.
            Old <subluxation> of the coccyx.
            """,
        ),
        (
            "affirmed",
            """
            A 45-year-old with <coccydynia>.
            52 year old man with <fracture> of S3.
            She is 60 years old; <fracture> of the coccyx.
            A 7 month old with <fracture>.
            Old records reviewed; <fracture> of S3.
            Prior films viewed; <angulation> is present.
            This 33-year-old <fell>.
            Old letter read. <Coccydynia> is worse.
            """,
        ),
    ),
    "remote": (
        (
            "historical",
            """
            Remote <fracture> of S3.
            Remote <fall>.
            There is a remote <sacral fracture>.
            Remote history of <coccyx fracture>.
            Remote <contusion>.
            <Fracture> in the remote past.
            A remote <injury>.
            Remote healed <fracture>.
            """,
        ),
        (
            "affirmed",
            """
            He works remotely; <coccydynia> all day.
            The remote was lost. <Coccydynia> is worse.
            Remote visit by video; <coccydynia> is worse.
            Seen by remote link. <Numbness> is new.
            Remote surgery aside, he now has <numbness>.
            Remote strain, however <fracture> is fresh.
            Remote ankle sprain; <coccyx fracture> last week.
            <Fracture> is fresh.
            """,
        ),
    ),
    "status post": (
        (
            "historical",
            """
            Status post <fracture>.
            S/p <sacral fracture>.
            She is s/p coccyx <fracture>.
            He is status post <fall>.
            Status post pelvic <fracture>.
            S/P <dislocation> of the coccyx.
            History of <fracture>.
            Past medical history of asthma, gout and <sacral fracture>.
            """,
        ),
        (
            "affirmed",
            """
            Status post appendectomy; <fracture> of S3.
            S/p cholecystectomy, now <coccydynia>.
            S/p fusion. <Numbness> of the foot.
            Status post surgery, presents with <numbness>.
            History of asthma, presents with <coccyx fracture>.
            Status stable; <fracture> of the coccyx.
            History of present illness: <coccydynia> since May.
            A two-week history of <coccydynia>.
            """,
        ),
    ),
    "years ago": (
        (
            "historical",
            """
            <Fracture> 10 years ago.
            <Fell> ten years ago.
            <Sacral fracture> many years ago.
            <Coccyx fracture> in childhood.
            <Fracture> six months ago.
            <Contusion> decades ago.
            <Fracture> in the past.
            <Dislocation> a year ago.
            """,
        ),
        (
            "affirmed",
            """
            <Fracture> today; moved here ten years ago.
            <Coccydynia> now. Married years ago.
            <Numbness> is new; surgery was years ago.
            <Fell> this morning. Retired years ago.
            Years ago he drove trucks; <fell> this morning.
            <Fracture> of S3 last week. Quit smoking years ago.
            <Angulation> of S3; prior films are years old.
            <Weakness> is new; vaccinated months ago.
            """,
        ),
    ),
    "a relative states": (
        (
            "affirmed",
            """
            His wife states that he <fell>.
            Wife reports <numbness> of his foot.
            Mother says he <fell> off the slide.
            Her husband says she <fell>.
            Per daughter, <fell> on the stairs.
            Here with his wife for the <coccyx fracture>.
            Lives with his son; <fell> on ice.
            Daughter noticed the <weakness>.
            """,
        ),
        (
            "family",
            """
            Mother had a <sacral fracture>.
            His wife broke a <hip> in 2023.
            Her sister has <osteoporosis>.
            Brother with <ankylosing spondylitis>.
            Family history of <osteoporosis>.
            Father <fell> off a roof.
            Aunt had a <coccyx fracture>.
            Grandmother with <osteoporosis>.
            """,
        ),
    ),
}


def _cases() -> list[tuple[str, str, str]]:
    return [
        (kind, wanted, line.strip())
        for kind, ways in BATTERY.items()
        for wanted, block in ways
        for line in block.strip().splitlines()
    ]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return load_pack("traumatic-spondylopathy").reader


def _assertion(reader: Reader, marked: str) -> str:
    """The assertion of the marked mention, on the sentence that the reader's own layout puts it in."""
    found = MARK.search(marked)
    assert found is not None
    text = MARK.sub(r"\1", marked)
    start, end = found.start(), found.end() - 2
    for segment in reader._layout.segments(text):
        if segment.start <= start < segment.end:
            words = reader._normalizer.words(text, segment.start, segment.end)
            first, last = word_range(words, start, end)
            return reader._assertions.judge(words.norm, [(first, last, "phrase")])[0][0]
    raise AssertionError("the mention lies in no segment")


def test_every_kind_has_eight_sentences_each_way() -> None:
    for kind, ways in BATTERY.items():
        for _, block in ways:
            assert len(block.strip().splitlines()) >= 8, kind


@pytest.mark.parametrize(("kind", "wanted", "marked"), _cases())
def test_battery(reader: Reader, kind: str, wanted: str, marked: str) -> None:
    assert _assertion(reader, marked) == wanted


def test_denied_past_is_both(reader: Reader) -> None:
    words = reader._normalizer.words("No history of stroke.")
    assert set(reader._assertions.reached(words.norm, [(3, 4, "phrase")])[0]) == {"NEGATED", "HISTORICAL"}


def test_a_cue_inside_the_mention_is_part_of_it(reader: Reader) -> None:
    words = reader._normalizer.words("Skin is warm without lesion.")
    assert reader._assertions.judge(words.norm, [(0, 5, "phrase")])[0] == ("affirmed", None)


def test_a_lifelong_disease_alone_is_a_problem_list_item(reader: Reader) -> None:
    alone = reader._normalizer.words("Hypertension.")
    assert reader._assertions.judge(alone.norm, [(0, 1, "phrase")])[0] == ("historical", (0, 1))
    in_context = reader._normalizer.words("Hypertension noted at triage.")
    assert reader._assertions.judge(in_context.norm, [(0, 1, "phrase")])[0][0] == "affirmed"
