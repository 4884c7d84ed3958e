from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from shards.errors import UserError
from shards.flock import alone_in
from shards.sample import Sample
from train.checkpoint import NetworkInfo, load_checkpoint, load_run, read_info, save_checkpoint
from train.machine import Machine, make_machine
from train.methods.ovr import OvrConfig
from train.methods.segmenter import SegmenterConfig
from train.networks.erfnet import ERFNet
from train.predictor import NetworkPredictor, predictor_from
from train.run_segmenters import train_ovr, train_segmenter

CPU = torch.device("cpu")
MACHINE = Machine(CPU)
SMALL = {"width": 0.25}
QUICK = SegmenterConfig(steps=6, batch=3, warmup=1, crop=(32, 24))


def segmenter(shards: Path, out: Path, **options: object) -> object:
    arguments: dict[str, object] = {
        "config": QUICK,
        "network": "erfnet",
        "network_options": SMALL,
        "machine": MACHINE,
        **options,
    }
    return train_segmenter([shards], out, **arguments)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoint.safetensors")


def assert_same_weights(one: Path, two: Path) -> None:
    a, b = weights(one), weights(two)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture(scope="module")
def trained(tiny_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "segmenter"
    config = SegmenterConfig(steps=40, batch=4, lr=2e-2, warmup=2, scale=(1.0, 1.0), crop=None, class_weights="none")
    summary = train_segmenter(
        [tiny_shards], run, config=config, network="erfnet", network_options={**SMALL, "dropout": 0.0},
        machine=MACHINE, val_shards=[tiny_shards],
    )  # fmt: skip
    assert summary.finished
    assert summary.validation is not None
    assert summary.validation["mIoU"] > 0.9
    return run


def test_a_segmenter_learns_the_tiny_world_and_ovr_finds_its_anomalies(
    trained: Path, tiny_shards: Path, tmp_path: Path
) -> None:
    before = read_info(trained).validation
    config = OvrConfig(
        steps=40,
        batch=4,
        lr=1e-2,
        gamma=1.0,
        trainable="all",
        batch_norm="learn",
        keep=1.0,
        keep_kind="logits",
        keep_on="labelled",
    )
    summary = train_ovr(
        [tiny_shards], tmp_path / "ovr", config=config, checkpoint=trained, machine=MACHINE, val_shards=[tiny_shards]
    )
    assert before is not None
    assert summary.validation is not None
    assert summary.validation["energy_AP"] > before["energy_AP"] + 0.2
    assert summary.validation["mIoU"] > 0.9
    assert (summary.first, summary.step, summary.steps, summary.samples) == (0, 40, 40, 160)


def test_what_a_run_leaves_behind(trained: Path) -> None:
    assert {p.name for p in trained.iterdir()} == {
        "checkpoint.safetensors", "checkpoint.json", "log.jsonl", "log.txt",
    }  # fmt: skip
    info = json.loads((trained / "checkpoint.json").read_text())
    assert (info["method"], info["step"], info["finished"]) == ("segmenter", 40, True)
    assert info["epoch"] == 20.0
    assert info["input_size"] == [64, 32]
    assert info["saw"] == ["tiny/train"]
    assert info["start"]["kind"] == "scratch"
    assert info["shards"][0]["folder"] == "set"
    assert str(trained.parent) not in json.dumps(info)
    rows = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [10, 20, 30, 40, 40]
    assert rows[0]["loss"] > rows[3]["loss"]
    assert "mIoU" in rows[4]["validation"]
    assert "step 40/40  loss" in (trained / "log.txt").read_text()


def test_interrupted_and_resumed_is_bitwise_uninterrupted(tiny_shards: Path, tmp_path: Path) -> None:
    segmenter(tiny_shards, tmp_path / "whole")
    for stop in (1, 4):
        part = segmenter(tiny_shards, tmp_path / "parts", machine=Machine(CPU, stop_at=stop))
        assert not part.finished
        assert (tmp_path / "parts" / "resume.pt").is_file()
    last = segmenter(tiny_shards, tmp_path / "parts")
    assert (last.first, last.step) == (4, 6)
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")
    assert not (tmp_path / "parts" / "resume.pt").exists()


def test_a_run_killed_between_two_savings_goes_on(
    tiny_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter(tiny_shards, tmp_path / "whole")

    class Killed(BaseException):
        pass

    def kill(*arguments: object) -> None:
        raise Killed

    # resume.pt of step 4 is written, the checkpoint still is that of step 2.
    from train import loop

    keep = loop.save_checkpoint
    monkeypatch.setattr(
        loop, "save_checkpoint", lambda run, info, net: kill() if info.step == 4 else keep(run, info, net)
    )
    with pytest.raises(Killed):
        segmenter(tiny_shards, tmp_path / "killed", machine=Machine(CPU, save_every=2))
    monkeypatch.undo()
    assert read_info(tmp_path / "killed").step == 2
    with (tmp_path / "killed" / "log.jsonl").open("a") as log:
        log.write('{"step": 5, "loss": 1}\n{"step": 6, "lo')
    with (tmp_path / "killed" / "log.txt").open("a") as log:
        log.write('step 4/6  {"rejected": "x"}\nstep 5/6  loss 1\nstep 6/6  lo')
    summary = segmenter(tiny_shards, tmp_path / "killed", machine=Machine(CPU, save_every=2))
    assert summary.first == 4
    assert_same_weights(tmp_path / "whole", tmp_path / "killed")
    rows = [json.loads(line) for line in (tmp_path / "killed" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [6]
    lines = (tmp_path / "killed" / "log.txt").read_text().splitlines()
    assert [line.split("  ")[0] for line in lines] == ["step 4/6", "step 6/6"]


def test_ovr_resumes_bitwise_with_dropout_and_keep(trained: Path, tiny_shards: Path, tmp_path: Path) -> None:
    config = OvrConfig(steps=4, batch=2, lr=1e-3, trainable="all", keep=1.0, dropout=True, batch_norm="learn")
    for name, stops in (("whole", (None,)), ("parts", (2, None))):
        for stop in stops:
            train_ovr(
                [tiny_shards], tmp_path / name, config=config, checkpoint=trained, machine=Machine(CPU, stop_at=stop)
            )
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")


def test_workers_do_not_change_the_result(tiny_shards: Path, tmp_path: Path) -> None:
    config = QUICK.model_copy(update={"steps": 2})
    segmenter(tiny_shards, tmp_path / "none", config=config)
    segmenter(tiny_shards, tmp_path / "one", config=config, machine=Machine(CPU, workers=1))
    assert_same_weights(tmp_path / "none", tmp_path / "one")


def test_the_command_of_a_finished_run_changes_nothing(tiny_shards: Path, tmp_path: Path) -> None:
    first = segmenter(tiny_shards, tmp_path / "run", val_shards=[tiny_shards])
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()}
    again = segmenter(tiny_shards, tmp_path / "run", val_shards=[tiny_shards])
    assert (again.first, again.step, again.samples) == (6, 6, 0)
    assert again.validation == first.validation
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()} == before
    segmenter(tiny_shards, tmp_path / "unjudged")
    with pytest.raises(UserError, match="is finished; judge it on held-out shards"):
        segmenter(tiny_shards, tmp_path / "unjudged", val_shards=[tiny_shards])


def test_two_commands_do_not_write_into_one_run(tiny_shards: Path, tmp_path: Path) -> None:
    segmenter(tiny_shards, tmp_path / "run", machine=Machine(CPU, stop_at=2))
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with alone_in(tmp_path / "run", ""), pytest.raises(UserError, match=r"Another process trains in .*run: wait"):
        segmenter(tiny_shards, tmp_path / "run")
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    segmenter(tiny_shards, tmp_path / "run")
    assert read_info(tmp_path / "run").finished


def test_another_config_in_an_existing_run_is_refused(tiny_shards: Path, tmp_path: Path, trained: Path) -> None:
    segmenter(tiny_shards, tmp_path / "run", machine=Machine(CPU, stop_at=2))
    with pytest.raises(UserError, match=r"unfinished run with another lr \(0\.004, now \S+\); choose another --out"):
        segmenter(tiny_shards, tmp_path / "run", config=QUICK.model_copy(update={"lr": 0.5}))
    with pytest.raises(UserError, match="unfinished run with another seed"):
        segmenter(tiny_shards, tmp_path / "run", seed=3)
    with pytest.raises(UserError, match=r"finished run with another \w+ \("):
        segmenter(tiny_shards, trained)
    with pytest.raises(UserError, match="is at step 2 of 6; finish it first"):
        train_ovr([tiny_shards], tmp_path / "ovr", checkpoint=tmp_path / "run", machine=MACHINE)
    (tmp_path / "run" / "resume.pt").unlink()
    with pytest.raises(UserError, match=r"cannot go on without its resume\.pt"):
        segmenter(tiny_shards, tmp_path / "run")


def test_files_cut_in_half_are_one_sentence(tiny_shards: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    segmenter(tiny_shards, run, machine=Machine(CPU, stop_at=2))
    resume = (run / "resume.pt").read_bytes()
    (run / "resume.pt").write_bytes(resume[: len(resume) // 2])
    with pytest.raises(UserError, match=r"resume\.pt is not complete"):
        segmenter(tiny_shards, run)
    whole = (run / "checkpoint.safetensors").read_bytes()
    (run / "checkpoint.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"checkpoint\.safetensors is cut off or broken"):
        load_checkpoint(run)
    (run / "checkpoint.safetensors").unlink()
    with pytest.raises(UserError, match=r"no checkpoint\.safetensors"):
        load_checkpoint(run)
    (run / "checkpoint.json").write_text("{")
    with pytest.raises(UserError, match=r"checkpoint\.json is broken"):
        load_checkpoint(run)
    with pytest.raises(UserError, match="holds no checkpoint"):
        load_checkpoint(tmp_path)


def test_weights_and_description_of_different_steps_are_refused(tiny_shards: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    segmenter(tiny_shards, run, machine=Machine(CPU, stop_at=2))
    old = (run / "checkpoint.json").read_bytes()
    segmenter(tiny_shards, run, machine=Machine(CPU, stop_at=3))
    (run / "checkpoint.json").write_bytes(old)
    with pytest.raises(UserError, match=r"is of step 3, checkpoint\.json of step 2: saving was interrupted"):
        load_checkpoint(run)


def test_a_loss_that_is_not_finite_names_step_and_samples(trained: Path, tiny_shards: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"loss is (nan|inf) at step \d+ \(samples tiny-"):
        train_ovr(
            [tiny_shards], tmp_path / "run", config=OvrConfig(steps=9, batch=2, lr=1e30, trainable="all"),
            checkpoint=trained, machine=MACHINE,
        )  # fmt: skip


def test_samples_that_cannot_be_read_are_counted(
    make_shards: Callable[[Sequence[Sample]], Path], tmp_path: Path
) -> None:
    image, zeros = np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8)
    good = [Sample(f"g-{i}", image, zeros, zeros) for i in range(3)]
    bad = Sample("b-0", image, zeros, np.full((16, 16), 99, np.uint8))
    shards = make_shards([*good, bad])
    config = SegmenterConfig(steps=2, batch=4, crop=None)
    summary = segmenter(shards, tmp_path / "run", config=config)
    assert summary.rejected == {"label-values": 2}
    assert read_info(tmp_path / "run").rejected == {"label-values": 2}
    with pytest.raises(UserError, match=r"No sample of step \d can be read \(b-0"):
        segmenter(shards, tmp_path / "single", config=config.model_copy(update={"batch": 1, "steps": 4}))


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({}, "Say where to start"),
        ({"checkpoint": Path("x"), "segmenter": "erfnet"}, "Say where to start"),
        ({"segmenter": "erfnet"}, "belong together"),
        ({"weights": Path("w.pth")}, "belong together"),
        ({"checkpoint": Path("nowhere")}, "holds no checkpoint"),
        ({"segmenter": "erfnet", "weights": Path("nowhere.pth")}, "no weights file"),
    ],
)
def test_a_wrong_start_is_one_sentence(
    start: dict[str, object], message: str, tiny_shards: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        train_ovr([tiny_shards], tmp_path / "run", **start, machine=MACHINE)
    assert not (tmp_path / "run").exists()


def test_wrong_commands_are_one_sentence(tiny_shards: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--out must be a folder"):
        segmenter(tiny_shards, tmp_path / "file")
    with pytest.raises(UserError, match="no shard set at"):
        segmenter(tmp_path / "nowhere", tmp_path / "run")
    with pytest.raises(UserError, match="no shard set at"):
        segmenter(tiny_shards, tmp_path / "run", val_shards=[tmp_path / "nowhere"])
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.jpg").touch()
    with pytest.raises(UserError, match=r"photos holds something else \(mine\.jpg\); choose another --out"):
        segmenter(tiny_shards, tmp_path / "photos")
    with pytest.raises(UserError, match="--device is auto, cpu or cuda"):
        make_machine("tpu", None, 0, 200, False, False)
    with pytest.raises(UserError, match="--threads"):
        make_machine("cpu", 0, 0, 200, False, False)


def test_ovr_starts_from_a_weights_file_and_records_its_input_size(tiny_shards: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(ERFNet().state_dict(), tmp_path / "w.pth")
    config = OvrConfig(steps=1, batch=1, input_size=(48, 24), trainable="head")
    train_ovr(
        [tiny_shards],
        tmp_path / "run",
        config=config,
        segmenter="erfnet",
        weights=tmp_path / "w.pth",
        machine=MACHINE,
    )
    network, info = load_checkpoint(tmp_path / "run" / "checkpoint.json")
    assert network.input_size == info.input_size == (48, 24)
    assert info.start.name == "w.pth"
    assert info.saw == ["tiny/train", "unknown"]
    assert not network.training


def test_predictor_gives_scores_at_the_size_of_the_image(trained: Path, tmp_path: Path) -> None:
    predictor = predictor_from(checkpoint=trained, device="cpu")
    assert "void" not in predictor.score_names
    assert predictor.describe["input_size"] == [64, 32]
    assert predictor.describe["checkpoint"] == "segmenter"
    image = np.full((37, 91, 3), 90, np.uint8)
    image[:18] = (120, 160, 230)
    prediction = predictor.predict(image, predictor.score_names, semantic=True)
    assert prediction.semantic is not None
    assert tuple(prediction.scores) == predictor.score_names
    assert all(s.shape == (37, 91) and s.dtype == np.float32 for s in prediction.scores.values())
    assert all(np.isfinite(s).all() for s in prediction.scores.values())
    assert prediction.semantic.shape == (37, 91)
    assert (prediction.semantic[:10] == 10).mean() > 0.8
    assert (prediction.semantic[-10:] == 0).mean() > 0.8
    assert "void" in NetworkPredictor(ERFNet(width=0.25)).score_names
    with pytest.raises(UserError, match="Give either --checkpoint RUN, or --segmenter"):
        predictor_from(device="cpu")
    with pytest.raises(UserError, match="belong together"):
        predictor_from(segmenter="erfnet", device="cpu")


@pytest.mark.parametrize("size", [(100, 50), (0, 8), (64, 36)])
def test_an_input_size_that_does_not_fit_the_network_is_one_sentence(trained: Path, size: tuple[int, int]) -> None:
    with pytest.raises(UserError, match=rf"ERFNet's input .* multiples of 8, got {size[0]}x{size[1]}"):
        predictor_from(checkpoint=trained, input_size=size, device="cpu")
    with pytest.raises(UserError, match="multiples of 8"):
        NetworkPredictor(ERFNet(width=0.25), input_size=size)


def test_ovr_refuses_an_input_size_that_its_start_cannot_take(tiny_shards: Path, tmp_path: Path) -> None:
    start = tmp_path / "lite"
    train_segmenter(
        [tiny_shards],
        start,
        config=SegmenterConfig(steps=1, batch=1, crop=None),
        network_options=SMALL,
        machine=MACHINE,
    )
    with pytest.raises(UserError, match="LiteFPN's input width and height are multiples of 16, got 72x40"):
        train_ovr(
            [tiny_shards], tmp_path / "run", config=OvrConfig(input_size=(72, 40)), checkpoint=start, machine=MACHINE
        )
    assert not (tmp_path / "run").exists()


def test_ovr_refuses_shards_without_an_anomaly(
    trained: Path,
    make_sample: Callable[..., Sample],
    make_shards: Callable[[Sequence[Sample]], Path],
    tmp_path: Path,
) -> None:
    shards = make_shards([make_sample(i, anomaly=False) for i in range(2)])
    with pytest.raises(UserError, match=r"no anomaly pixel in .*made, so there is nothing to learn"):
        train_ovr([shards], tmp_path / "run", checkpoint=trained, machine=MACHINE)
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def with_void(tiny_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "void"
    segmenter(tiny_shards, run, config=QUICK.model_copy(update={"steps": 1, "void_output": True}))
    return run


def test_a_void_output_is_bitwise_that_of_the_start(with_void: Path, tiny_shards: Path, tmp_path: Path) -> None:
    config = OvrConfig(steps=3, batch=2, lr=1e-2, weight_decay=0.5, trainable="head", average=0.7)
    train_ovr([tiny_shards], tmp_path / "run", config=config, checkpoint=with_void, machine=MACHINE)
    before, after = weights(with_void), weights(tmp_path / "run")
    head = "decoder.output_conv"
    assert torch.equal(before[f"{head}.weight"][:, 19], after[f"{head}.weight"][:, 19])
    assert torch.equal(before[f"{head}.bias"][19], after[f"{head}.bias"][19])
    assert not torch.equal(before[f"{head}.weight"], after[f"{head}.weight"])
    assert all(torch.equal(before[key], after[key]) for key in before if not key.startswith(head))


def test_weights_are_averaged_once_at_the_end(trained: Path, tiny_shards: Path, tmp_path: Path) -> None:
    config = OvrConfig(steps=3, batch=2, lr=1e-2)
    for name, average, stops in (("tuned", 1.0, (None,)), ("whole", 0.25, (None,)), ("parts", 0.25, (1, 2, None))):
        for stop in stops:
            train_ovr(
                [tiny_shards], tmp_path / name, config=config.model_copy(update={"average": average}),
                checkpoint=trained, machine=Machine(CPU, stop_at=stop),
            )  # fmt: skip
    start, tuned, averaged = weights(trained), weights(tmp_path / "tuned"), weights(tmp_path / "whole")
    for key, value in averaged.items():
        torch.testing.assert_close(value, (0.75 * start[key] + 0.25 * tuned[key]).to(value.dtype))
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")


def test_the_gradient_is_clipped(trained: Path, tiny_shards: Path, tmp_path: Path) -> None:
    # Adam divides the gradient by its own size, but for 1e-8: only a much smaller one moves the weights less.
    moved = []
    for clip in (None, 1e-12):
        config = OvrConfig(steps=1, batch=2, lr=1e-2, weight_decay=0.0, clip=clip)
        train_ovr([tiny_shards], tmp_path / str(clip), config=config, checkpoint=trained, machine=MACHINE)
        before, after = weights(trained), weights(tmp_path / str(clip))
        moved.append(max(float((after[key] - before[key]).abs().max()) for key in before))
    assert moved[0] == pytest.approx(1e-2, rel=0.1)
    assert moved[1] < 1e-5


def test_a_bfloat16_step_keeps_float32_weights_and_losses(trained: Path, tiny_shards: Path, tmp_path: Path) -> None:
    losses = []
    for precision in ("float32", "bfloat16"):
        config = OvrConfig(steps=2, batch=2, trainable="all", precision=precision)
        summary = train_ovr([tiny_shards], tmp_path / precision, config=config, checkpoint=trained, machine=MACHINE)
        losses.append(summary.loss)
    assert {value.dtype for value in weights(tmp_path / "bfloat16").values()} == {torch.float32, torch.int64}
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


def test_held_out_samples_that_cannot_be_read_are_counted(
    trained: Path,
    tiny_shards: Path,
    make_sample: Callable[..., Sample],
    make_shards: Callable[[Sequence[Sample]], Path],
    tmp_path: Path,
) -> None:
    good = make_sample(0)
    bad = Sample("b-0", good.image, good.anomaly, np.full_like(good.semantic, 99))
    summary = train_ovr(
        [tiny_shards], tmp_path / "run", config=OvrConfig(steps=1, batch=2), checkpoint=trained, machine=MACHINE,
        val_shards=[make_shards([good, bad])],
    )  # fmt: skip
    assert summary.rejected == read_info(tmp_path / "run").rejected == {"held-out label-values": 1}
    assert summary.validation is not None
    assert summary.validation["mIoU"] > 0.9
    assert "b-0" in (tmp_path / "run" / "log.txt").read_text()


def test_a_run_that_dies_while_it_is_judged_goes_on_there(
    tiny_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from train import run

    def full(*arguments: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore of it")

    methods = {"segmenter": dataclasses.replace(run.METHODS["segmenter"], validate=full)}
    monkeypatch.setattr(run, "METHODS", methods)
    with pytest.raises(UserError, match=r"Memory is exhausted \(CUDA .* 2 GiB\): the same command with fewer"):
        segmenter(tiny_shards, tmp_path / "run", val_shards=[tiny_shards])
    monkeypatch.undo()
    summary = segmenter(tiny_shards, tmp_path / "run", val_shards=[tiny_shards])
    assert (summary.first, summary.step, summary.finished) == (6, 6, True)
    assert summary.validation is not None
    segmenter(tiny_shards, tmp_path / "whole")
    assert_same_weights(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        RuntimeError("DataLoader worker (pid(s) 12) exited unexpectedly"),
        ConnectionResetError(104, "Connection reset by peer"),
        EOFError(),
    ],
)
def test_exhausted_memory_is_one_sentence(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = NetworkPredictor(ERFNet(width=0.25), input_size=(16, 8))

    def full(images: torch.Tensor) -> None:
        raise error

    monkeypatch.setattr(predictor._network, "forward", full)
    with pytest.raises(UserError, match=r"Memory is exhausted \(.+\): give a smaller --size"):
        predictor.predict(np.zeros((8, 16, 3), np.uint8), ["energy"])
    error = RuntimeError("shapes do not fit")
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        predictor.predict(np.zeros((8, 16, 3), np.uint8), ["energy"])


def test_a_run_of_another_network_is_loaded_and_is_no_segmenter(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from train import networks

    monkeypatch.setattr(networks, "NETWORKS", {**networks.NETWORKS, "line": torch.nn.Linear})
    made = torch.nn.Linear(3, 2)
    built = NetworkInfo(name="line", options={"in_features": 3, "out_features": 2})
    save_checkpoint(tmp_path, read_info(trained).model_copy(update={"network": built}), made)
    network, info = load_run(tmp_path)
    assert info.network == built
    assert not network.training
    assert torch.equal(network.weight, made.weight)
    with pytest.raises(UserError, match="holds the network 'line' of `train segmenter`, which is no segmenter"):
        load_checkpoint(tmp_path)
    with pytest.raises(UserError, match="Unknown segmenter 'line'; known are: "):
        networks.build_segmenter("line", in_features=3, out_features=2)


def test_a_run_of_a_version_with_another_field_is_refused(trained: Path) -> None:
    new = read_info(trained)
    old = new.model_copy(update={"config": {k: v for k, v in new.config.items() if k != "crop"}})
    assert new.config["crop"] is None
    assert (old.same_run(new), new.same_run(old)) == ("crop (missing, now None)", "crop (None, now missing)")
    assert new.same_run(new) is None
