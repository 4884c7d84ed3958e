from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.predict import predict_images
from eval.predictor import Predictor
from shards.errors import UserError


@pytest.fixture
def pictures(tmp_path: Path, frame: Callable[..., None]) -> Path:
    for index, name in enumerate(["a.png", "b.jpg", "c.webp"]):
        frame(tmp_path / "in" / name, tmp_path / "labels" / f"{index}.png", index)
    return tmp_path / "in"


def test_arrays_and_pictures(pictures: Path, tmp_path: Path, predictor: Predictor) -> None:
    summary = predict_images([pictures], predictor, ["bright"], tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == sorted(f"{stem}_bright.{ext}" for stem in "abc" for ext in ("npy", "png"))
    assert sorted(path.name for path in summary.written) == names
    score = np.load(tmp_path / "out" / "a_bright.npy", allow_pickle=False)
    assert (score.shape, score.dtype) == ((24, 32), np.float32)
    rgb = np.asarray(Image.open(pictures / "a.png"))
    assert np.array_equal(score, predictor.predict(rgb, ["bright"]).scores["bright"])
    with Image.open(tmp_path / "out" / "a_bright.png") as picture:
        assert picture.width == 32
        assert picture.height > 24  # the legend


def test_unreadable_images_are_skipped_and_counted(pictures: Path, tmp_path: Path, predictor: Predictor) -> None:
    image = pictures / "b.jpg"
    image.write_bytes(image.read_bytes()[:300])
    (pictures / "d.png").write_text("no picture")
    summary = predict_images([pictures], predictor, (), tmp_path / "out")
    assert len(summary.written) == 2 * 2 * 2
    assert set(summary.skipped) == {"b.jpg", "d.png"}
    assert sum(summary.reasons.values()) == 2
    assert "unreadable-image" in summary.reasons
    with pytest.raises(UserError, match=r"b\.jpg cannot be read"):
        predict_images([pictures], predictor, (), tmp_path / "strict", strict=True)


def test_refusals(pictures: Path, tmp_path: Path, predictor: Predictor) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match="There is no image"):
        predict_images([pictures / "x.png"], predictor, (), out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="No images"):
        predict_images([tmp_path / "empty"], predictor, (), out)
    with pytest.raises(UserError, match="cannot give the score 'msp'"):
        predict_images([pictures], predictor, ["msp"], out)
    Image.open(pictures / "a.png").save(pictures / "a.webp")
    with pytest.raises(UserError, match="would be written to the same files"):
        predict_images([pictures], predictor, (), out)
    assert not out.exists()


def test_nothing_is_overwritten_unasked(pictures: Path, tmp_path: Path, predictor: Predictor) -> None:
    out = tmp_path / "out"
    predict_images([pictures / "a.png"], predictor, ["bright"], out)
    with pytest.raises(UserError, match=r"a_bright\.npy exists already.*--overwrite"):
        predict_images([pictures], predictor, ["bright"], out)
    assert len(list(out.iterdir())) == 2
    predict_images([pictures], predictor, ["bright"], out, overwrite=True)
    assert len(list(out.iterdir())) == 6
