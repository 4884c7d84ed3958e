from __future__ import annotations

from typing import get_args

import pytest

from shards.layouts.licences import Licence, LicenceFilter


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        (Licence("Attribution License", "http://creativecommons.org/licenses/by/2.0/"), True),
        (Licence("Attribution-NonCommercial-ShareAlike License", ""), True),
        (Licence("", "http://creativecommons.org/licenses/by-nd/2.0/"), False),
        (Licence("Attribution-NoDerivs License", ""), False),
        (Licence(), False),
    ],
)
def test_derivatives(licence: Licence, allowed: bool) -> None:
    assert licence.allows_derivatives is allowed


COMMONS = "http://creativecommons.org/licenses"
OF_COCO = [
    # licence, known, derivatives, commercial, share alike
    (Licence("Attribution-NonCommercial-ShareAlike License", f"{COMMONS}/by-nc-sa/2.0/"), (1, 1, 0, 1)),
    (Licence("Attribution-NonCommercial License", f"{COMMONS}/by-nc/2.0/"), (1, 1, 0, 0)),
    (Licence("Attribution-NonCommercial-NoDerivs License", f"{COMMONS}/by-nc-nd/2.0/"), (1, 0, 0, 0)),
    (Licence("Attribution License", f"{COMMONS}/by/2.0/"), (1, 1, 1, 0)),
    (Licence("Attribution-ShareAlike License", f"{COMMONS}/by-sa/2.0/"), (1, 1, 1, 1)),
    (Licence("Attribution-NoDerivs License", f"{COMMONS}/by-nd/2.0/"), (1, 0, 1, 0)),
    (Licence("No known copyright restrictions", "http://flickr.com/commons/usage/"), (1, 1, 1, 0)),
    (Licence("United States Government Work", "http://www.usa.gov/copyright.shtml"), (1, 1, 1, 0)),
]
OTHERS = [
    (Licence("CC BY-NC-ND 4.0", ""), (1, 0, 0, 0)),
    (Licence("CC0 1.0", ""), (1, 1, 1, 0)),
    (Licence("", "https://creativecommons.org/publicdomain/mark/1.0/"), (1, 1, 1, 0)),
    (Licence("Attribution-NonCommercial-NoDerivatives 4.0 International", ""), (1, 0, 0, 0)),
    (Licence("Attribution License", f"{COMMONS}/by-nd/2.0/"), (1, 0, 1, 0)),  # they disagree: what both permit
    (Licence("All rights reserved", ""), (0, 0, 0, 0)),
    (Licence("Photograph by A. Smith", "http://example.org/by/"), (0, 0, 0, 0)),
    (Licence("Not a US Government Work", ""), (0, 0, 0, 0)),
    (Licence(), (0, 0, 0, 0)),
]


@pytest.mark.parametrize(("licence", "terms"), OF_COCO + OTHERS)
def test_terms_of_licences(licence: Licence, terms: tuple[int, ...]) -> None:
    found = licence.terms
    assert (found.known, found.derivatives, found.commercial, found.share_alike) == tuple(map(bool, terms))


@pytest.mark.parametrize(("licence", "terms"), OF_COCO)
def test_name_and_address_say_the_same(licence: Licence, terms: tuple[int, ...]) -> None:
    assert Licence(licence.name, "").terms == Licence("", licence.url).terms == licence.terms


def test_each_word_of_the_filter_is_stricter_than_the_one_before() -> None:
    everything = [licence for licence, _ in OF_COCO + OTHERS]
    passed = [{licence for licence in everything if licence.passes(word)} for word in get_args(LicenceFilter)]
    assert get_args(LicenceFilter) == ("any", "known", "derivatives-allowed", "commercial-allowed")
    assert passed[0] == set(everything)
    assert passed[0] > passed[1] > passed[2] > passed[3]
    sold = {licence.name for licence in passed[3] & {licence for licence, _ in OF_COCO}}
    assert sold == {
        "Attribution License", "Attribution-ShareAlike License", "No known copyright restrictions",
        "United States Government Work",
    }  # fmt: skip
