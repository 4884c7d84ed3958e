from __future__ import annotations

import pickle

import pytest

from shards.index import Entry, Index, Member

SHARDS = {
    "a-000000.tar": [
        Entry("a-0", "a-000000.tar", (Member("image.png", 512, 2**33), Member("json", 2**34, 2))),
        Entry("a-1", "a-000000.tar", ()),
    ],
    "a-000001.tar": [],
    "a-000002.tar": [
        Entry("ключ", "a-000002.tar", (Member("json", 512, 0),)),
        Entry("broken-\udcff", "a-000002.tar", (Member("image.png", 0, 1), Member("json", 3, 4))),
    ],
}


def test_there_and_back() -> None:
    index = Index()
    for shard, entries in SHARDS.items():
        index.add(shard, entries)
    expected = [entry for entries in SHARDS.values() for entry in entries]
    for found in (index, pickle.loads(pickle.dumps(index))):
        assert len(found) == 4
        assert list(found) == expected
        assert [found[place] for place in range(-4, 4)] == expected * 2
        assert [found.key(place) for place in range(4)] == [entry.key for entry in expected]
        for place in (4, -5):
            with pytest.raises(IndexError):
                found[place]


def test_what_is_added_later_follows() -> None:
    index = Index()
    assert (len(index), list(index)) == (0, [])
    index.add("a-000000.tar", SHARDS["a-000000.tar"])
    before = list(index)
    index.add("a-000002.tar", SHARDS["a-000002.tar"])
    assert list(index) == before + SHARDS["a-000002.tar"]
