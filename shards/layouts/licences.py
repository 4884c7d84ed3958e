"""Licences of pictures, and what each of them permits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

LicenceFilter = Literal["any", "known", "derivatives-allowed", "commercial-allowed"]
"""Which pictures may be used, each word stricter than the one before:

any: all; known: those that name one of the licences of `LicenceTerms`; derivatives-allowed: those whose licence lets
altered copies be passed on; commercial-allowed: those whose licence lets altered copies be passed on and sold.
Whatever the word, credit and ShareAlike stay duties of whoever passes pictures on."""


@dataclass(frozen=True, slots=True)
class LicenceTerms:
    """What a licence permits; of an unknown one, nothing is assumed.

    Creative Commons' kinds (BY with NC, SA and ND in any version, CC0 and the public domain mark) are known, as are
    COCO's other two: "No known copyright restrictions" (Flickr Commons) and works of the United States government.
    """

    known: bool = False
    derivatives: bool = False
    commercial: bool = False
    share_alike: bool = False


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence as COCO's JSON lists it; empty where a picture names none."""

    name: str = ""
    url: str = ""

    @property
    def terms(self) -> LicenceTerms:
        """What it permits: by its address or by its name; where they disagree, what both permit."""
        return _terms(self.name, self.url)

    @property
    def allows_derivatives(self) -> bool:
        """False for NoDerivs licences, and where no licence is known."""
        return self.terms.derivatives

    def passes(self, wanted: LicenceFilter) -> bool:
        """Whether a picture under this licence may be used where these terms are asked for."""
        terms = self.terms
        if wanted == "any":
            return True
        if wanted == "known":
            return terms.known
        return terms.derivatives and (wanted == "derivatives-allowed" or terms.commercial)


_FREE: Final = re.compile(
    r"^cc0|/publicdomain/|^public domain|^no known copyright|flickr\.com/commons/usage|usa\.gov/copyright"
    r"|^(united states|u\.?s\.?) government work"
)
_COMMONS: Final = re.compile(
    r"/licenses/(by[a-z-]*)|^(?:cc|creative commons)[ -](by\b[a-z-]*)|^(attribution[a-z -]*)"
)


@lru_cache(maxsize=256)
def _terms(name: str, url: str) -> LicenceTerms:
    texts = [text.strip().lower() for text in (name, url)]
    if any(map(_FREE.search, texts)):
        return LicenceTerms(known=True, derivatives=True, commercial=True)
    # "Attribution-NonCommercial-ShareAlike License", "CC BY-NC-SA 2.0", ".../licenses/by-nc-sa/2.0/"
    codes = [next(filter(None, match.groups())) for text in texts if (match := _COMMONS.search(text))]
    if not codes:
        return LicenceTerms()
    parts = {part for code in codes for part in re.split(r"[ -]", code)}
    return LicenceTerms(
        known=True,
        derivatives="nd" not in parts and not any(part.startswith("noderiv") for part in parts),
        commercial=not parts & {"nc", "noncommercial"},
        share_alike=bool(parts & {"sa", "sharealike"}),
    )
