"""The generator of the diffusers package: a real pipeline, built here, tiny, and without a download."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from shards.errors import UserError
from train.chain_info import DiffusersConfig, DiffusersInfo
from train.generators import Diffusers, generator_from

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ControlNet pipeline of 0.5 M parameters, as `save_pretrained` leaves it."""
    from diffusers import (
        AutoencoderKL,
        ControlNetModel,
        DDIMScheduler,
        StableDiffusionControlNetPipeline,
        UNet2DConditionModel,
    )
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    blocks = {
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "cross_attention_dim": 32,
        "attention_head_dim": 4,
        "norm_num_groups": 8,
    }
    text = CLIPTextConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=77, bos_token_id=len(words) - 2, eos_token_id=len(words) - 1,
    )  # fmt: skip
    pipe = StableDiffusionControlNetPipeline(
        vae=AutoencoderKL(
            block_out_channels=(16, 32), norm_num_groups=8, latent_channels=4,
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        ),
        text_encoder=CLIPTextModel(text).eval(),
        tokenizer=CLIPTokenizer(
            vocab={word: number for number, word in enumerate(words)}, merges=[], model_max_length=77
        ),
        unet=UNet2DConditionModel(up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), **blocks),
        controlnet=ControlNetModel(conditioning_embedding_out_channels=(8, 16), **blocks),
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("pipeline") / "tiny"
    pipe.save_pretrained(folder)
    return folder


def test_it_paints_the_same_picture_twice_and_what_the_classes_steer(pipeline: Path, tmp_path: Path) -> None:
    generator = Diffusers(pipeline, CPU, DiffusersConfig(steps=2))
    road = np.zeros((64, 128), np.uint8)
    painted = generator.paint(road, "a-0")
    assert (painted.shape, painted.dtype) == ((64, 128, 3), np.uint8)
    assert len(np.unique(painted)) > 20
    np.testing.assert_array_equal(generator.paint(road, "a-1"), painted)

    info = DiffusersInfo.model_validate_json(generator.info.model_dump_json())
    again = generator_from(info, tmp_path / "none", CPU)
    np.testing.assert_array_equal(again.paint(road, ""), painted)
    other = Diffusers(pipeline, CPU, DiffusersConfig(steps=2, seed=1))
    assert not np.array_equal(other.paint(road, ""), painted)
    with pytest.raises(UserError, match="multiples of 64, not 96x64"):
        generator.check_size((96, 64))


def test_another_pipeline_in_its_place_is_one_sentence(pipeline: Path, tmp_path: Path) -> None:
    info = Diffusers(pipeline, CPU).info
    with pytest.raises(UserError, match="not the one that the set was enriched with"):
        generator_from(info.model_copy(update={"sha256": "0" * 64}), tmp_path / "none", CPU)
    with pytest.raises(UserError, match=r"has no model_index\.json"):
        Diffusers(tmp_path, CPU)
    index = json.loads((pipeline / "model_index.json").read_text())
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="is no ControlNet pipeline") as said:
        Diffusers(tmp_path, CPU)
    assert "\n" not in str(said.value)
