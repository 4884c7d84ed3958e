"""croissant.json: what a shard set holds, for tools that read Croissant 1.0 (MLCommons' JSON-LD for data sets).

    tars -> file sets (image, anomaly, semantic, json) -> record sets (images, anomaly-maps, ...) -> samples

Members of the tars become records by the key in front of their names. `mlcroissant` follows one join a record set, so
that `samples` is put together step by step: images with anomaly maps, with semantic maps, with provenance.

https://docs.mlcommons.org/croissant/docs/croissant-spec.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shards.documents.licences import CITYSCAPES_LICENCE, picture_licences
from shards.manifest import MANIFEST, REJECTS, SAMPLES, Manifest, manifest_bytes
from shards.rows import Row, row_lines

MEMBERS: Final = ("image.png", "anomaly.png", "semantic.png", "json")
"""The files of a sample behind ``KEY.``, where a set holds nothing but the usual."""

_FORMATS: Final = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "json": "application/json",
}

_WORDS: Final = {
    "image": ("images", "The pictures, RGB."),
    "anomaly": ("anomaly-maps", "Anomaly maps, 8 bits: 0 known, 1 anomaly, 255 ignore."),
    "semantic": ("semantic-maps", "Semantic maps, 8 bits: Cityscapes trainIds 0..18, 255 ignore."),
    "patches": ("patches", "Pasted objects below each other, RGB, black around them."),
    "masks": ("masks", "Which pixels of the patches are an object's: 255, elsewhere 0."),
    "json": ("provenance", "Where each sample comes from: frame, objects, places, scales, licences; JSON text."),
}

# The context that the specification prescribes for version 1.0.
_CONTEXT: Final[Mapping[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(
    manifest: Manifest, rows: Sequence[Row], members: Sequence[str] = MEMBERS, *, rejects: bytes = b""
) -> dict[str, Any]:
    """Describe a shard set.

    Args:
        manifest: of the set; names, sizes and sha256 of its tars are taken from it.
        rows: of samples.jsonl, in storage order.
        members: the files of a sample behind ``KEY.``, such as ``image.png``.
        rejects: the content of rejects.jsonl.

    Returns:
        JSON types; holds no time, host or path, so that equal sets have equal descriptions. The publication date that
        the specification asks for is missing for that reason: whoever publishes a set adds it.
    """
    by_name = {suffix.split(".")[0]: suffix for suffix in members}
    kinds = sorted(by_name, key=lambda name: ([*_WORDS, name].index(name), name))
    described = {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"{manifest.recipe}-{manifest.seed}-{manifest.samples}",
        "description": _description(manifest),
        "version": f"{manifest.schema_version}.0.0",
        "keywords": ["anomaly segmentation", "out-of-distribution detection", "road scenes", manifest.recipe],
        "creator": {"@type": "sc:Organization", "name": "anomsynth"},
        "distribution": [
            *(_tar(shard.name, shard.bytes, shard.sha256) for shard in manifest.shards),
            _record(MANIFEST, "How the set was made, and of what.", "application/json", manifest_bytes(manifest)),
            _table(rows),
            _record(REJECTS, "A row an input that could not be used.", "application/jsonlines", rejects),
            *(_file_set(kind, by_name[kind], manifest) for kind in kinds),
        ],
        "recordSet": [
            *(_leaf(kind) for kind in kinds),
            *_joined(kinds),
            _rows_as_records(counted=bool(manifest.pixels)),
        ],
    }
    licences = _licences(manifest, rows)
    return {**described, "license": licences} if licences else described


def _description(manifest: Manifest) -> str:
    if not manifest.pixels:
        return (
            f"What {manifest.samples} road scenes change about their frames, made by anomsynth's recipe "
            f"{manifest.recipe} with seed {manifest.seed}: pasted objects, places and the frames' checksums."
        )
    known, anomaly, ignore = (manifest.pixels.get(label, 0) for label in ("known", "anomaly", "ignore"))
    return (
        f"{manifest.samples} road scenes with anomaly and semantic maps, made by anomsynth's recipe "
        f"{manifest.recipe} with seed {manifest.seed}; {known} known, {anomaly} anomalous and {ignore} ignored "
        "pixels."
    )


def _licences(manifest: Manifest, rows: Sequence[Row]) -> list[str]:
    """Addresses (or names) of everybody's licences, sorted."""
    found = {licence.url or licence.name for licence, _ in picture_licences(rows).values()} - {""}
    if any(source.get("dataset") == "cityscapes" for source in manifest.sources.values()):
        found.add(CITYSCAPES_LICENCE)
    return sorted(found)


def _tar(name: str, size: int, sha256: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{size} B",
        "encodingFormat": "application/x-tar",
        "sha256": sha256,
    }


def _record(name: str, description: str, kind: str, content: bytes) -> dict[str, Any]:
    """A file beside the tars with its sha256, so that a change of it shows."""
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "description": description,
        "contentUrl": name,
        "contentSize": f"{len(content)} B",
        "encodingFormat": kind,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _table(rows: Sequence[Row]) -> dict[str, Any]:
    size, digest = 0, hashlib.sha256()
    for row in rows:  # one by one: there may be more of them than fit into memory
        line = row_lines((row,))
        size += len(line)
        digest.update(line)
    return {
        "@type": "cr:FileObject",
        "@id": SAMPLES,
        "name": SAMPLES,
        "description": "A row a sample: key, shard, frame, objects and, where they are known, pixels by label.",
        "contentUrl": SAMPLES,
        "contentSize": f"{size} B",
        "encodingFormat": "application/jsonlines",
        "sha256": digest.hexdigest(),
    }


def _file_set(kind: str, suffix: str, manifest: Manifest) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{kind}-files",
        "name": f"{kind}-files",
        "description": _words(kind)[1],
        "containedIn": [{"@id": shard.name} for shard in manifest.shards],
        "encodingFormat": _FORMATS.get(suffix.rsplit(".", 1)[-1], "application/octet-stream"),
        "includes": f"*.{suffix}",
    }


def _leaf(kind: str) -> dict[str, Any]:
    """The members of one kind, each with the key of its sample."""
    name, words = _words(kind)
    files = {"fileSet": {"@id": f"{kind}-files"}}
    key = {**files, "extract": {"fileProperty": "filename"}, "transform": {"regex": r"^([^.]+)\."}}
    content = {**files, "extract": {"fileProperty": "content"}}
    fields = [_field(name, "key", "sc:Text", key), _field(name, kind, _type(kind), content)]
    return _record_set(name, words, fields)


def _words(kind: str) -> tuple[str, str]:
    """Name of the record set of one kind of files, and what they are."""
    return _WORDS.get(kind, (f"{kind}-files-by-key", f"What the recipe calls {kind}."))


def _joined(kinds: Sequence[str]) -> list[dict[str, Any]]:
    """Record sets that join one more kind each; the last one is `samples`."""
    made = []
    before = _words(kinds[0])[0]
    for number, kind in enumerate(kinds[1:], 2):
        last = number == len(kinds)
        name = "samples" if last else "-and-".join(kinds[:number])
        other = _words(kind)[0]
        key = {
            **_field(name, "key", "sc:Text", _of(before, "key")),
            "references": _of(other, "key"),
        }
        fields = [key, *(_field(name, old, _type(old), _of(before, old)) for old in kinds[: number - 1])]
        fields.append(_field(name, kind, _type(kind), _of(other, kind)))
        words = "Whole samples." if last else f"A step towards samples: {', '.join(kinds[:number])}."
        made.append(_record_set(name, words, fields))
        before = name
    return made


def _rows_as_records(*, counted: bool) -> dict[str, Any]:
    """samples.jsonl, flat; to choose samples without touching a tar."""

    def column(field: str, kind: str, name: str, path: str = "") -> dict[str, Any]:
        source: dict[str, Any] = {"fileObject": {"@id": SAMPLES}, "extract": {"column": name}}
        return _field("rows", field, kind, {**source, "transform": {"jsonPath": path}} if path else source)

    fields = [
        column("key", "sc:Text", "key"),
        column("shard", "sc:Text", "shard"),
        column("frame", "sc:Text", "frame", "id"),
    ]
    words = "A row a sample: shard and frame."
    if counted:
        fields += [column(label, "sc:Integer", "pixels", label) for label in ("known", "anomaly", "ignore")]
        words = "A row a sample: shard, frame, and pixels by anomaly label."
    return _record_set("rows", words, fields)


def _record_set(name: str, description: str, fields: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "key": {"@id": f"{name}/key"},
        "field": list(fields),
    }


def _field(record_set: str, name: str, data_type: str, source: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/{name}",
        "name": name,
        "dataType": data_type,
        "source": dict(source),
    }


def _of(record_set: str, field: str) -> dict[str, Any]:
    return {"field": {"@id": f"{record_set}/{field}"}}


def _type(kind: str) -> str:
    return "sc:Text" if kind == "json" else "sc:ImageObject"
