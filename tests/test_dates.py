"""Dates in clinical sentences: every rule by its own examples, tables of sentences, and properties of any text."""

from __future__ import annotations

import re
import time
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analyzer.dates import DateMention, DateReader, DateRule
from analyzer.errors import PackError

FILE = Path(__file__).parent.parent / "patterns" / "common" / "dates.yaml"
READER = DateReader.from_yaml(FILE)
RULES = READER.rules.rules
ANCHOR = date(2025, 3, 12)
"""The date of service of the sentences below, a Wednesday."""

POSITIVE = [
    # (sentence with the mention marked, earliest, latest, precision, kind)
    ("DOI «03/14/2024», slipped on wet tile.", "2024-03-14", "2024-03-14", "day", "absolute"),
    ("pt fell «3-14-24» off loading dock", "2024-03-14", "2024-03-14", "day", "absolute"),
    ("INJURED «03.14.2024» AT WORK", "2024-03-14", "2024-03-14", "day", "absolute"),
    ("Loss on «2024/03/14», forklift vs pedestrian", "2024-03-14", "2024-03-14", "day", "absolute"),
    ("MVC «20240314», belted passenger", "2024-03-14", "2024-03-14", "day", "absolute"),
    ("Seen after trauma of [**«2024-03-14»**]", "2024-03-14", "2024-03-14", "day", "absolute"),
    ("slipped «14-Mar-24» on the boat ramp", "2024-03-14", "2024-03-14", "day", "absolute"),
    ("Thrown from a mule «14 Mar 2024».", "2024-03-14", "2024-03-14", "day", "absolute"),
    ("«14MAR2024» went through the deck", "2024-03-14", "2024-03-14", "day", "absolute"),
    ("She sat down hard on «March 14th, 2024» on ice.", "2024-03-14", "2024-03-14", "day", "absolute"),
    ("the accident, «the 14th of March 2024», was witnessed", "2024-03-14", "2024-03-14", "day", "absolute"),
    ("coccyx contusion «Mar '22»", "2022-03-01", "2022-03-31", "month", "absolute"),
    ("hurt in «March of 2022» at the rink", "2022-03-01", "2022-03-31", "month", "absolute"),
    ("fx «3/2022», nonop", "2022-03-01", "2022-03-31", "month", "absolute"),
    ("fell in «febuary 2023»", "2023-02-01", "2023-02-28", "month", "absolute"),
    ("«Septmber 2021» crash on the interstate", "2021-09-01", "2021-09-30", "month", "absolute"),
    ("FELL «OCTOBER 2, 2024» ONTO BUTTOCKS", "2024-10-02", "2024-10-02", "day", "absolute"),
    ("Golf cart rollover, «Aug. 9th '23»", "2023-08-09", "2023-08-09", "day", "absolute"),
    ("kicked by a steer «17/6/2022»", "2022-06-17", "2022-06-17", "day", "absolute"),
    ("sledding accident, «2/24/'24»", "2024-02-24", "2024-02-24", "day", "absolute"),
    ("dict «04 09 2024» injury visit", "2024-04-09", "2024-04-09", "day", "absolute"),
    ("«Mon, 24 Feb 2025» slid off the truck bed", "2025-02-24", "2025-02-24", "day", "absolute"),
    ("«Wed 3/5/25» slipped on steps", "2025-03-05", "2025-03-05", "day", "absolute"),
    ("missed the curb «Friday, February 28th»", "2025-02-28", "2025-02-28", "day", "absolute"),
    ("went off the porch «02/Feb/2024»", "2024-02-02", "2024-02-02", "day", "absolute"),
    ("«2024 Feb 02» ED visit for fall", "2024-02-02", "2024-02-02", "day", "absolute"),
    ("«twenty fourth of february twenty twenty four» he tripped", "2024-02-24", "2024-02-24", "day", "absolute"),
    ("the wreck in «december of twenty nineteen»", "2019-12-01", "2019-12-31", "month", "absolute"),
    ("MVC in «2019» with a cracked sacrum", "2019-01-01", "2019-12-31", "year", "absolute"),
    ("s/p fall «2021», healed", "2021-01-01", "2021-12-31", "year", "absolute"),
    ("back in «'19» she went down the stairs", "2019-01-01", "2019-12-31", "year", "absolute"),
    ("«late 2019» snowboarding wreck", "2019-09-02", "2019-12-31", "year", "absolute"),
    ("the trouble began «early in 2020»", "2020-01-01", "2020-05-01", "year", "absolute"),
    ("«mid-2018» fall off ladder", "2018-05-03", "2018-09-01", "year", "absolute"),
    ("«circa 2012», thrown from a bike", "2011-07-02", "2013-07-02", "year", "absolute"),
    ("«~2016» coccyx fx", "2015-07-02", "2017-07-02", "year", "absolute"),
    ("either «2014 or 2015», she thinks", "2014-01-01", "2015-12-31", "range", "absolute"),
    ("broke it in «nineteen ninety-eight»", "1998-01-01", "1998-12-31", "year", "absolute"),
    ("in «two thousand nineteen» she slipped", "2019-01-01", "2019-12-31", "year", "absolute"),
    ("a wreck in the «1990s»", "1990-01-01", "1999-12-31", "range", "absolute"),
    ("in the «late '80s» he was rear-ended", "1986-09-02", "1989-12-31", "range", "absolute"),
    ("bull riding in the «early nineties»", "1990-01-01", "1993-05-01", "range", "absolute"),
    ("fell in «spring of 2023»", "2023-03-01", "2023-06-20", "season", "absolute"),
    ("«summer '22» ATV crash", "2022-06-01", "2022-09-22", "season", "absolute"),
    ("in the «winter of 2021-2022» she slid on ice", "2021-12-01", "2022-03-20", "season", "absolute"),
    ("hurting since «last winter»", "2023-12-01", "2024-03-20", "season", "absolute"),
    ("«LAST FALL» HE SAT DOWN HARD ON A STUMP", "2024-09-01", "2024-12-20", "season", "absolute"),
    ("«this past summer», a trampoline", "2024-06-01", "2024-09-22", "season", "absolute"),
    ("«the spring before last» a crate struck him", "2023-03-01", "2023-06-20", "season", "absolute"),
    ("«three summers ago» he slipped at the pool", "2022-06-01", "2022-09-22", "season", "absolute"),
    ("«around Thanksgiving 2023»", "2023-11-20", "2023-11-26", "week", "holiday"),
    ("went down «Christmas Eve 2022»", "2022-12-24", "2022-12-24", "day", "holiday"),
    ("on «New Year's Day 2024» she slid", "2024-01-01", "2024-01-01", "day", "holiday"),
    ("slid off the dock on «the Fourth of July 2023»", "2023-07-04", "2023-07-04", "day", "absolute"),
    ("«LABOR DAY 2022» JET SKI", "2022-09-05", "2022-09-05", "day", "holiday"),
    ("struck over «Memorial Day weekend»", "2024-05-25", "2024-05-27", "week", "holiday"),
    ("«easter sunday 2023», stairs", "2023-04-09", "2023-04-09", "day", "holiday"),
    ("tripped «the Friday after Thanksgiving»", "2024-11-29", "2024-11-29", "day", "holiday"),
    ("«two days before Christmas» she fell", "2024-12-23", "2024-12-23", "day", "holiday"),
    ("it was «the week of Thanksgiving 2022»", "2022-11-21", "2022-11-27", "week", "holiday"),
    ("«two Christmases ago», off a sled", "2023-12-25", "2023-12-25", "day", "holiday"),
    ("«last Mother's Day» he tripped", "2024-05-12", "2024-05-12", "day", "holiday"),
    ("he slipped «last Tuesday»", "2025-03-11", "2025-03-11", "day", "relative"),
    ("on «Saturday» he slipped", "2025-03-08", "2025-03-08", "day", "relative"),
    ("fell on the ice «this morning»", "2025-03-12", "2025-03-12", "day", "relative"),
    ("fell «yest» on the steps", "2025-03-11", "2025-03-11", "day", "relative"),
    ("tripped «the day before yesterday»", "2025-03-10", "2025-03-10", "day", "relative"),
    ("«night before last», out of bed", "2025-03-10", "2025-03-10", "day", "relative"),
    ("went skating «weekend before last»", "2025-03-01", "2025-03-02", "week", "relative"),
    ("slid «over the weekend»", "2025-03-08", "2025-03-09", "week", "relative"),
    ("«LAST WEEK» SLIPPED IN SHOWER", "2025-03-02", "2025-03-08", "week", "relative"),
    ("«last month» she went off a ladder", "2025-02-01", "2025-02-28", "month", "relative"),
    ("a rugby hit «last year»", "2024-01-01", "2024-12-31", "year", "relative"),
    ("«the year before last» he was T-boned", "2023-01-01", "2023-12-31", "year", "relative"),
    ("«late last year», a horse", "2024-09-01", "2024-12-31", "year", "relative"),
    ("sat on ice «a week ago Monday»", "2025-03-03", "2025-03-03", "day", "relative"),
    ("«last week Thursday» down the ramp", "2025-03-06", "2025-03-06", "day", "relative"),
    ("Fell «6 weeks ago» while roofing.", "2025-01-26", "2025-02-01", "week", "relative"),
    ("landed on tailbone «6 wks ago»", "2025-01-26", "2025-02-01", "week", "relative"),
    ("Rollover «3 yrs back»", "2021-09-10", "2022-09-11", "year", "relative"),
    ("hit by a door «a couple of months ago»", "2024-12-28", "2025-01-27", "range", "relative"),
    ("«about six or seven years ago» he was thrown", "2017-03-11", "2020-03-12", "range", "relative"),
    ("«10+ years ago» in the Army", "2010-03-12", "2015-03-12", "range", "relative"),
    ("coccyx fx «>5 years ago»", "2017-09-12", "2020-03-12", "range", "relative"),
    ("«over a year ago» in a snow bank", "2023-03-12", "2024-03-12", "range", "relative"),
    ("«less than 2 weeks ago»", "2025-02-26", "2025-03-12", "range", "relative"),
    ("«A YEAR AND A HALF AGO» FELL FROM HORSE", "2023-06-14", "2023-12-11", "year", "relative"),
    ("«two and a half years ago» she was rear-ended", "2022-06-14", "2022-12-11", "year", "relative"),
    ("«a decade ago», a scaffold", "2013-03-12", "2017-03-11", "range", "relative"),
    ("«18 mo ago»", "2023-08-28", "2023-09-27", "month", "relative"),
    ("onset «approx. 5 mos. ago»", "2024-09-12", "2024-11-11", "month", "relative"),
    ("«several weeks ago»", "2025-01-12", "2025-02-22", "range", "relative"),
    ("«twenty-two years ago» in a barn", "2002-09-10", "2003-09-11", "year", "relative"),
    ("«five and one half weeks ago»", "2025-01-30", "2025-02-05", "week", "relative"),
    ("«6 months and 2 weeks ago»", "2024-08-26", "2024-09-01", "week", "relative"),
    ("«four to five months ago»", "2024-09-27", "2024-11-27", "range", "relative"),
    ("«3d ago» slipped", "2025-03-09", "2025-03-09", "day", "relative"),
    ("«four days ago»", "2025-03-08", "2025-03-08", "day", "relative"),
    ("«2 nights ago» out of bed", "2025-03-10", "2025-03-10", "day", "relative"),
    ("«36 hours ago»", "2025-03-10", "2025-03-10", "day", "relative"),
    ("sore, hurt it «3/12 ago»", "2024-11-27", "2024-12-27", "month", "relative"),
    ("coccyx pain «x 3 months»", "2024-11-27", "2024-12-27", "month", "duration"),
    ("PAIN «X6 MO»", "2024-08-28", "2024-09-27", "month", "duration"),
    ("sitting hurts «for the past 3 weeks»", "2025-02-16", "2025-02-22", "week", "duration"),
    ("«Duration: 4 months»", "2024-10-28", "2024-11-27", "month", "duration"),
    ("«6-month history of» tailbone pain", "2024-08-28", "2024-09-27", "month", "duration"),
    ("LBP «for 2 years»", "2022-09-10", "2023-09-11", "year", "duration"),
    ("«POD 3», doing well", "2025-03-09", "2025-03-09", "day", "relative"),
    ("«post-op day 12»", "2025-02-28", "2025-02-28", "day", "relative"),
    ("she is «10 weeks out» and sore", "2024-12-29", "2025-01-04", "week", "relative"),
    ("now «8 months out» from the crash", "2024-06-27", "2024-07-27", "month", "relative"),
    ("«2 weeks status post» fall", "2025-02-23", "2025-03-01", "week", "relative"),
    ("«5 weeks s/p» ORIF", "2025-02-02", "2025-02-08", "week", "relative"),
    ("«3 y post injury»", "2021-09-10", "2022-09-11", "year", "relative"),
    ("«12 weeks postpartum»", "2024-12-15", "2024-12-21", "week", "relative"),
    ("«9 days prior to admission» she fell", "2025-03-03", "2025-03-03", "day", "relative"),
    ("a «4-week-old» sacral fracture", "2025-02-09", "2025-02-15", "week", "relative"),
    ("Fracture S3, «week 12».", "2024-12-15", "2024-12-21", "week", "relative"),
    ("«seven weeks since the injury»", "2025-01-19", "2025-01-25", "week", "relative"),
    ("CT «11/2» reviewed", "2024-11-02", "2024-11-02", "day", "absolute"),
    ("fell on «2/5» at church", "2025-02-05", "2025-02-05", "day", "absolute"),
    ("ED visit «12/24» for fall", "2024-12-24", "2024-12-24", "day", "absolute"),
    ("injury of «3/98»", "1998-03-01", "1998-03-31", "month", "absolute"),
    ("in «4/21» he slid", "2021-04-01", "2021-04-30", "month", "absolute"),
    ("tripped «the first week of January»", "2025-01-01", "2025-01-07", "week", "absolute"),
    ("«second weekend of February 2024»", "2024-02-10", "2024-02-11", "week", "absolute"),
    ("«the last Sunday in November»", "2024-11-24", "2024-11-24", "day", "absolute"),
    ("slid in «mid January»", "2025-01-11", "2025-01-20", "month", "absolute"),
    ("«the end of May 2024» rollover", "2024-05-21", "2024-05-31", "month", "absolute"),
    ("«June of last year»", "2024-06-01", "2024-06-30", "month", "absolute"),
    ("«July, two years ago»", "2023-07-01", "2023-07-31", "month", "absolute"),
    ("«November 5th of last year» he tripped", "2024-11-05", "2024-11-05", "day", "absolute"),
    ("«last September» at practice", "2024-09-01", "2024-09-30", "month", "absolute"),
    ("sore since «october»", "2024-10-01", "2024-10-31", "month", "absolute"),
    ("in «May» he went down", "2024-05-01", "2024-05-31", "month", "absolute"),
    ("inpatient «8/13-8/22/21»", "2021-08-13", "2021-08-22", "range", "absolute"),
    ("hospitalized «March 3-5, 2024»", "2024-03-03", "2024-03-05", "range", "absolute"),
    ("fell «Q4 2023»", "2023-10-01", "2023-12-31", "season", "absolute"),
    ("last year, in «October», off a wagon", "2024-10-01", "2024-10-31", "month", "absolute"),
    ("«RTC 3 mo»", "2025-05-28", "2025-06-27", "month", "future"),
    ("«next Tuesday» with ortho", "2025-03-18", "2025-03-18", "day", "future"),
    ("will see ortho on «4/2»", "2025-04-02", "2025-04-02", "day", "future"),
    ("«repeat films in 4 weeks»", "2025-04-06", "2025-04-12", "week", "future"),
    ("MRI «3/20/2025» is booked", "2025-03-20", "2025-03-20", "day", "future"),
    ("Pt tripped over a cord the «Thursday before last».", "2025-02-27", "2025-02-27", "day", "relative"),
    ("DATE OF ACCIDENT «07-02-2023» PER EMPLOYER REPORT", "2023-07-02", "2023-07-02", "day", "absolute"),
    ("sore since a tubing wreck «three Augusts ago»", "2022-08-01", "2022-08-31", "month", "absolute"),
    ("back to the «winter of '09-'10»", "2009-12-01", "2010-03-20", "season", "absolute"),
    ("broke sacrum in the «nineteen eighties»", "1980-01-01", "1989-12-31", "range", "absolute"),
    ("Fell w/ walker «x4 wks ago»", "2025-02-09", "2025-02-15", "week", "duration"),
    ("«six wks & 3 days ago» slipped", "2025-01-26", "2025-01-26", "day", "relative"),
    ("on «4-Jul» slid off a raft", "2024-07-04", "2024-07-04", "day", "absolute"),
    ("stairs, «Dec. 30th/31st 2023»", "2023-12-30", "2023-12-31", "range", "absolute"),
    ("«April, 2021»: ATV vs tree", "2021-04-01", "2021-04-30", "month", "absolute"),
    ("went down on black ice «a week ago yesterday»", "2025-03-04", "2025-03-04", "day", "relative"),
    ("a backyard wrestling injury «around 1996 or 97»", "1996-01-01", "1997-12-31", "range", "absolute"),
    ("Injury happened «about 2 yr 4 mo ago»", "2022-10-11", "2022-12-10", "month", "relative"),
    ("fell «Christmas» night", "2024-12-25", "2024-12-25", "day", "holiday"),
    ("slipped on «the 3rd of last month».", "2025-02-03", "2025-02-03", "day", "absolute"),
    ("hurt it around 0200 «yesterday»", "2025-03-11", "2025-03-11", "day", "relative"),
]

UNRESOLVED = [
    ("fell years ago", "years ago", "vague"),
    ("MANY YEARS AGO FELL OFF A TRUCK", "MANY YEARS AGO", "vague"),
    ("healed long ago", "long ago", "vague"),
    ("sat down hard a while back", "a while back", "vague"),
    ("remote coccyx fracture", "remote", "vague"),
    ("back in the day he rode bulls", "back in the day", "vague"),
    ("broke it as a teenager", "as a teenager", "vague"),
    ("tailbone injury in childhood", "in childhood", "vague"),
    ("slipped in her twenties", "in her twenties", "vague"),
    ("recently slipped", "recently", "vague"),
    ("better that fall", "that fall", "vague"),
    ("released that July", "that July", "vague"),
    ("sprains it every March", "every March", "recurring"),
    ("worse on Sundays", "Sundays", "recurring"),
    ("hurts each winter", "each winter", "recurring"),
    ("fell at age 12", "at age 12", "age"),
]

NEGATIVE = [
    "Strength 5/5 in all groups",
    "EHL 4+/5, PF 5-/5 bilaterally",
    "5/5 strength throughout the lower extremities",
    "pain 7/10 at rest, 9/10 with sitting",
    "Pain is rated 3/10 now",
    "BP 120/80, HR 72",
    "BP 118/62 sitting",
    "numbness 2/2 sacral root injury",
    "chronic back pain 2/2 DJD",
    "20/20 vision in both eyes",
    "ratio of 3/4",
    "2/6 systolic murmur",
    "DTRs 2/4 and symmetric",
    "pulses 2+/4",
    "GCS 14/15",
    "MMSE 28/30",
    "PHQ-9 12/27",
    "monofilament 9/10 on the right",
    "MRN 20240314",
    "MRN: 4471-08-22",
    "Acct # 1998",
    "phone 555-0198",
    "call (555) 867-5309",
    "fax 555-12-2019",
    "zip 02139-1998",
    "Accession 25-118842",
    "S1-S2 disc space is preserved",
    "L5/S1 facet arthropathy",
    "T12 compression",
    "T11-12 and L1-2",
    "S2-3 level",
    "L4-5, L5-S1 stenosis",
    "hydrocodone 5/325 1-2 tabs q6h",
    "oxycodone-APAP 2.5/325",
    "losartan/HCTZ 50/12.5 daily",
    "at 10:32 the nurse called",
    "arrived 0830 by EMS",
    "A1c 7.1, creatinine 1.8",
    "a 49-year-old woman",
    "49 y/o M with tailbone pain",
    "pt is a 34yo G2P1",
    "symptoms may worsen with sitting",
    "she may need surgery",
    "may have been a bruise",
    "he can march with the band",
    "march fracture of the foot",
    "unwitnessed fall at home",
    "fall risk high, fall precautions in place",
    "his fall was from a ladder",
    "a fall onto the buttocks",
    "sustained a fall down stairs",
    "Hgb 11.2, WBC 8.4, plt 210",
    "vitamin D 2000 IU daily",
    "drained 1950 mL of urine",
    "gabapentin 300 mg TID",
    "software version 4.10.22",
    "Epic v2023.1",
    "CPT 98941 billed",
    "M48.38 is listed",
    "ICD S32.10XS",
    "6-8 hours of sleep",
    "1-2 tabs PRN",
    "oxycodone q4h prn",
    "sit for 20-30 minutes",
    "voided x3 times",
    "alert and oriented x3",
    "with the 2/7 Marines",
    "101st Airborne, 2nd Battalion",
    "lives at 1950 Elm Street",
    "room 2014 bed B",
    "P1-0-2-1",
    "degrees: 22 deg kyphosis",
    "8-12 mm displacement",
    "FABER 1/3 positive",
    "tender 2/3 of the coccyx",
    "Dec sensation to light touch S1-S2",
    "MAR reviewed",
    "OCT of the macula",
    "sat on the cushion",
    "wed and has two kids",
    "avoid direct sun",
    "grade 2 slip at the joint",
    "Code 1234-5678",
    "SSN 123-45-6789",
    "lot 0523A",
    "dose 4/8 given",
    "step 10/12 of the program",
    "3/4 inch heel lift",
    "1/2 tab nightly",
    "walks 3/4 mile",
    "neg 12/12 ROS",
    "sacral decubitus 3 x 2 x 0.5 cm",
    "PT 2x/wk x 6",
    "injection every 3 months",
    "in the morning stiff for 30 minutes",
    "walking six weeks after surgery",
    "back at work 3 weeks later",
    "no better in either leg",
    "out of work",
    "DOI: N/A",
    "Injury date: ____",
    "Date: ***",
    "The second stage of labor was long",
    "the third toe is numb",
    "remote monitoring enabled",
    "The spring of the exam table broke",
    "Return to ED for any numbness",
    "Mother broke her tailbone",
    "1 UTI, 2 falls, no fractures",
    "lifting limit 25 lb",
    "may 2 tabs be split",
    "Zone 2 fracture of the ala",
    "walks 2 to 3 blocks",
    "Feb 30, 2024",
    "2/30/2024",
    "13/45/2022",
    "Pt scored 11/12 on the single leg test.",
    "Denis zone 1, 3/4 of the ala involved",
    "wears a size 10/12 brace",
    "Dr. May saw her and agrees",
    "She will march in the parade",
    "takes 2 Aleve a day",
    "prefers sitting 1-2 cushions high",
    "Lives in apt 2019, 3rd floor",
    "HR in the 60s, temp 98.6",
    "April is her daughter and drove her here",
]

LABELLED = [
    ("DOB: 04/02/1961", "birth"),
    ("born 4/2/61 in Ohio", "birth"),
    ("DOI 3/14/24", "injury"),
    ("D.O.I.: 6/1/2023", "injury"),
    ("Date of injury - 6/1/23", "injury"),
    ("DATE OF LOSS: 6/1/2023", "injury"),
    ("Injured on 6/1/23", "injury"),
    ("Onset date: 6/1/2023", "onset"),
    ("DOS 03/12/2025", "service"),
    ("Date of service: 03/12/2025", "service"),
    ("Visit date .......... 03/12/2025", "service"),
    ("Dictated: 3/11/2025", "dictated"),
    ("Electronically signed by R. Vance MD on 03/12/2025", "signed"),
    ("Printed 03/12/2025 08:14", "printed"),
    ("[copied from 06/02/2024]", "copied"),
    ("fell 6/1/2023", None),
]


def on(anchor: date | None, text: str, age: int | None = None) -> list[DateMention]:
    return READER.find(text, anchor, age)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule_reads_its_examples(rule: DateRule) -> None:
    for case in rule.examples.match:
        found = READER.explain(case.say, case.anchor or READER.rules.example_anchor, case.age)
        if rule.interpreter == "nothing":
            span = case.say.index(case.find)
            inside = [m for _, m in found if m.start < span + len(case.find) and span < m.end]
            assert not inside, case.say
            continue
        mentions = [mention for name, mention in found if name == rule.name and mention.text == case.find]
        assert mentions, (case.say, [(name, mention.text) for name, mention in found])
        assert (mentions[0].earliest, mentions[0].latest) == (case.first, case.last), case.say
        assert case.kind in (None, mentions[0].kind), case.say


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule_leaves_other_sentences_alone(rule: DateRule) -> None:
    for sentence in rule.examples.no_match:
        names = [name for name, _ in READER.explain(sentence, READER.rules.example_anchor)]
        assert rule.name not in names, sentence


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule_has_no_nested_quantifier(rule: DateRule) -> None:
    """A repeated group that itself repeats without bound could take exponential time."""
    for pattern in rule.match:
        assert not re.search(r"[*+]\)(?:[*+]|\{\d+,\})", pattern), pattern


@pytest.mark.parametrize(("marked", "earliest", "latest", "precision", "kind"), POSITIVE)
def test_sentence(marked: str, earliest: str, latest: str, precision: str, kind: str) -> None:
    before, text, after = re.split("[«»]", marked)
    mentions = on(ANCHOR, before + text + after)
    mention = next((m for m in mentions if (m.start, m.text) == (len(before), text)), None)
    assert mention is not None, [m.text for m in mentions]
    assert (str(mention.earliest), str(mention.latest)) == (earliest, latest)
    assert (mention.precision, mention.kind) == (precision, kind)


@pytest.mark.parametrize(("sentence", "text", "kind"), UNRESOLVED)
def test_words_that_name_no_date(sentence: str, text: str, kind: str) -> None:
    (mention,) = on(ANCHOR, sentence)
    assert (mention.text, mention.kind) == (text, kind)
    assert (mention.earliest, mention.latest, mention.precision) == (None, None, "none")


@pytest.mark.parametrize("sentence", NEGATIVE)
def test_no_date(sentence: str) -> None:
    assert [m.text for m in on(ANCHOR, sentence)] == []


@pytest.mark.parametrize(("sentence", "label"), LABELLED)
def test_label(sentence: str, label: str | None) -> None:
    assert [m.label for m in on(ANCHOR, sentence)] == [label]


def test_several_dates_in_order() -> None:
    text = "DOB 3/2/1961; DOI 3/2/2021, fell 4 years ago; RTC 6 wk"
    mentions = on(ANCHOR, text)
    assert [m.text for m in mentions] == ["3/2/1961", "3/2/2021", "4 years ago", "RTC 6 wk"]
    assert [m.label for m in mentions] == ["birth", "injury", None, None]
    assert [m.kind for m in mentions] == ["absolute", "absolute", "relative", "future"]


def test_without_a_date_of_service_only_full_dates_resolve() -> None:
    resolved = {m.text: m.earliest for m in on(None, "fell 3/14/2024, again in March 2023, and 6 weeks ago, last July")}
    assert resolved == {
        "3/14/2024": date(2024, 3, 14),
        "March 2023": date(2023, 3, 1),
        "6 weeks ago": None,
        "last July": None,
    }


@pytest.mark.parametrize(
    ("text", "anchor", "year"),
    [
        ("seen 3/14/24", date(2025, 1, 1), 2024),
        ("born 3/14/61", date(2025, 1, 1), 1961),
        ("return 3/14/26", date(2025, 1, 1), 2026),
        ("born 3/14/88", date(2025, 1, 1), 1988),
        ("seen 3/14/88", date(1999, 1, 1), 1988),
        ("born 3/14/30", date(2025, 1, 1), 1930),
        ("seen 3/14/85", None, 1985),
        ("seen 3/14/24", None, 2024),
    ],
)
def test_two_digit_year(text: str, anchor: date | None, year: int) -> None:
    (mention,) = on(anchor, text)
    assert mention.earliest == date(year, 3, 14)


def test_month_and_day_without_year_is_the_latest_one() -> None:
    assert on(ANCHOR, "CT 3/12 shows")[0].earliest == ANCHOR
    assert on(ANCHOR, "CT 3/13 shows")[0].earliest == date(2024, 3, 13)
    assert on(ANCHOR, "fell on February 29th")[0].earliest == date(2024, 2, 29)


def test_a_date_after_the_visit_is_future() -> None:
    assert on(ANCHOR, "MRI 3/13/2025")[0].kind == "future"
    assert on(ANCHOR, "MRI 3/12/2025")[0].kind == "absolute"


def test_age_gives_about_two_years() -> None:
    (mention,) = on(ANCHOR, "fell off a swing when he was nine", 40)
    assert (mention.earliest, mention.latest) == (date(1993, 3, 13), date(1995, 3, 11))
    assert on(ANCHOR, "fell at age 41", 40) == []


def test_hedges_belong_to_the_mention() -> None:
    (mention,) = on(ANCHOR, "He fell roughly 9 months ago.")
    assert mention.text == "roughly 9 months ago"
    assert mention.approximate
    assert not on(ANCHOR, "He fell 9 months ago.")[0].approximate


def test_a_round_number_of_years_is_a_range() -> None:
    assert on(ANCHOR, "about thirty years ago")[0].precision == "range"
    assert on(ANCHOR, "three years ago")[0].precision == "year"


def test_spans_count_code_points() -> None:
    text = "\U0001f915 \u00dcbel: fell 6 weeks ago \u2013 \u2018sore\u2019, 14\u2013Mar\u201324"
    mentions = on(ANCHOR, text)
    assert [text[m.start : m.end] for m in mentions] == ["6 weeks ago", "14\u2013Mar\u201324"]


@pytest.mark.parametrize(
    ("old", "new", "line_of", "reason"),
    [
        ("as: decade", "as: decades", "as: decade", "Input should be"),
        ("starts: [q, first", "starts: [Q1, first", "starts: [q, first", "neither a word nor a list"),
        ("soon: '(?:", "soon: '(?:(", "soon: '", "no usable pattern"),
        ("dom: '", "dom: '{nowhere}", None, "no macro {nowhere}"),
        ("- name: decade\n", "- nome: decade\n", "- name: decade", "Field required"),
    ],
)
def test_broken_file_is_refused(tmp_path: Path, old: str, new: str, line_of: str | None, reason: str) -> None:
    text = FILE.read_text(encoding="utf-8")
    assert old in text
    broken = tmp_path / "dates.yaml"
    broken.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(PackError) as error:
        DateReader.from_yaml(broken)
    assert reason in str(error.value)
    assert str(error.value).startswith("dates.yaml:")
    assert "\n" not in str(error.value)
    if line_of is not None:
        line = text[: text.index(line_of)].count("\n") + 1
        assert error.value.line == line


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="cannot be read"):
        DateReader.from_yaml(tmp_path / "none.yaml")


FRAGMENTS = sorted(
    {word for row in POSITIVE for word in re.findall(r"[^\s«»]+", row[0])}
    | {"0", "3/4", "5/5", "'", "19", "2019-", "(", "twenty", "99999", "a", "and", "half", "[**", "\u0130", "\u00b2"}
)
ANCHORS = st.one_of(st.none(), st.dates())
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(" ".join))


@settings(max_examples=300, deadline=None)
@given(text=TEXTS, anchor=ANCHORS, age=st.one_of(st.none(), st.integers(0, 120)))
@example(text="\u0130stanbul 6 weeks ago", anchor=ANCHOR, age=None)
@example(text="9999 days ago, 999 decades ago, in 999 years", anchor=date.min, age=120)
@example(text="last winter, next winter, two Christmases ago, easter", anchor=date.min, age=None)
@example(text="next winter, next Christmas, tomorrow, next week, next month", anchor=date.max, age=None)
@example(text="\u0663/\u0664/\u0662\u0660\u0662\u0664", anchor=ANCHOR, age=None)
def test_any_text_is_read_safely(text: str, anchor: date | None, age: int | None) -> None:
    end = 0
    for mention in READER.find(text, anchor, age):
        assert mention.text == text[mention.start : mention.end]
        assert end <= mention.start < mention.end <= len(text)
        end = mention.end
        assert (mention.earliest is None) == (mention.latest is None) == (mention.precision == "none")
        if mention.earliest is not None and mention.latest is not None:
            assert mention.earliest <= mention.latest
            if anchor is not None and 1900 <= anchor.year < 2200:
                assert (mention.earliest > anchor) == (mention.kind == "future")


@given(day=st.dates(date(1930, 1, 1), date(2030, 12, 31)))
def test_full_dates_come_back(day: date) -> None:
    anchor = date(2031, 1, 1)
    forms = [
        f"{day.month}/{day.day}/{day.year}",
        f"{day:%m/%d/%Y}",
        f"{day:%m-%d-%Y}",
        f"{day:%m.%d.%Y}",
        f"{day:%Y-%m-%d}",
        f"{day:%Y/%m/%d}",
        f"{day:%Y%m%d}",
        f"{day:%d-%b-%Y}",
        f"{day:%d%b%Y}",
        f"{day:%B} {day.day}, {day.year}",
        f"{day.day} {day:%B} {day.year}",
    ]
    for form in forms:
        for text in (f"fell {form} at work", f"({form})", form.upper()):
            assert [(m.earliest, m.latest) for m in on(anchor, text)] == [(day, day)], text


@given(days=st.integers(1, 90))
def test_days_ago_come_back(days: int) -> None:
    (mention,) = on(ANCHOR, f"fell {days} days ago")
    assert mention.earliest == mention.latest == ANCHOR - timedelta(days)


REPEATED = (
    "3 |3/4 |1/|a and |twenty |x 3 |march |3        |the last |'1|2019-|about |1 or 2 or |christmas |[**|"
    "2 weeks, 3 days, |date of |week of |3 weeks ago "
)


@pytest.mark.parametrize("unit", REPEATED.split("|"))
def test_time_grows_with_length_only(unit: str) -> None:
    """Sixteen times the text may not take anywhere near sixteen squared the time."""

    def seconds(size: int) -> float:
        text = (unit * (size // len(unit) + 1))[:size]
        best = float("inf")
        for _ in range(3):
            begin = time.perf_counter()
            READER.find(text, ANCHOR)
            best = min(best, time.perf_counter() - begin)
        return best

    assert seconds(8_000) < 80 * max(seconds(500), 0.0005)


def test_long_white_space_is_cheap() -> None:
    begin = time.perf_counter()
    READER.find(("3" + " " * 20_000) * 5 + "weeks ago", ANCHOR)
    assert time.perf_counter() - begin < 2
