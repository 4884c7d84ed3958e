"""Weight files: read without running what they hold, and fitted to a network key by key."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from shards.errors import UserError
from shards.writer import write_atomically

SUFFIXES = (".pth", ".pt", ".safetensors")


def load_weights(network: nn.Module, file: Path) -> None:
    """Fill a network with the weights of a file; the network is untouched when they do not fit.

    Args:
        network: what is filled, in place, wherever its parameters lie.
        file: `.pth`/`.pt` (read with weights_only=True) or `.safetensors`; a state dict, perhaps inside a
            `state_dict` or `model` entry, perhaps with the prefix `module.` of a data-parallel run.

    Raises:
        UserError: the file is missing, broken, of another kind, or made for another network.
    """
    weights = read_weights(file)
    expected = network.state_dict()
    # Batch norm's counters do not enter any result, and old files lack them.
    missing = sorted(k for k in expected.keys() - weights.keys() if not k.endswith(".num_batches_tracked"))
    unexpected = sorted(weights.keys() - expected.keys())
    reshaped = sorted(k for k in expected.keys() & weights.keys() if expected[k].shape != weights[k].shape)
    problems = []
    if missing:
        problems.append(f"{len(missing)} of {len(expected)} weights are missing (first: {missing[0]})")
    if unexpected:
        problems.append(f"{len(unexpected)} are not of this network (first: {unexpected[0]})")
    if reshaped:
        key = reshaped[0]
        got, want = tuple(weights[key].shape), tuple(expected[key].shape)
        problems.append(f"{len(reshaped)} have another shape (first: {key} is {got}, expected {want})")
    if problems:
        raise UserError(f"{file} does not hold weights of {type(network).__name__}: {'; '.join(problems)}.")
    network.load_state_dict({**expected, **weights})


def read_weights(file: Path) -> dict[str, Tensor]:
    """Tensors of a weight file by name, on the CPU.

    Raises:
        UserError: the file is missing, broken or of another kind.
    """
    if file.suffix not in SUFFIXES:
        raise UserError(f"Weights are a {', '.join(SUFFIXES)} file, got {file}.")
    if not file.is_file():
        raise UserError(f"There is no weights file {file}.")
    if file.suffix == ".safetensors":
        try:
            return _state_dict(load_file(file), file)
        except (SafetensorError, OSError) as error:
            raise UserError(f"{file} is cut off or no safetensors file: copy or download it again.") from error
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load lets through whatever its zip and pickle readers meet
        raise UserError(
            f"{file} is cut off, or no PyTorch file of tensors alone, which is safe to read: copy or download it "
            "again, or save the state_dict of its network."
        ) from error
    return _state_dict(loaded, file)


def save_weights(network: nn.Module, file: Path, metadata: dict[str, str] | None = None) -> None:
    """Write the weights as safetensors, and words about them into its head, whole or not at all."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_atomically(file, save(weights, metadata=metadata))


def weights_sha256(network: nn.Module) -> str:
    """Checksum of the weights by name and value, whatever file they came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + bytes(1) + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def load_recorded(network: nn.Module, file: Path, sha256: str) -> None:
    """Fill a network as `load_weights` does, and see that these are the weights on record.

    Raises:
        UserError: as `load_weights`, or `weights_sha256` is another one.
    """
    load_weights(network, file)
    if weights_sha256(network) != sha256:
        raise UserError(
            f"{file} holds other weights than its folder has on record: type the command that made it again."
        )


def _state_dict(loaded: Any, file: Path) -> dict[str, Tensor]:
    for name in ("state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(name), dict):
            loaded = loaded[name]
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise UserError(f"{file} holds {type(loaded).__name__}, expected a dict of tensors by parameter name.")
    return {str(key).removeprefix("module."): value for key, value in loaded.items()}
