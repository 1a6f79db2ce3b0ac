"""PAST's released checkpoint and UNI's weights, loaded into PAST's own networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from baselines.encoders.entries import encoder_spec
from baselines.encoders.table import ENCODERS
from baselines.encoders.weights import find_file, find_weights, load_strictly, not_past, read_checkpoint
from past_model.settings import FAITHFUL, PROFILES, PastSettings
from past_model.state_file import CheckpointError
from past_model.weights import ReleasedState, load_released
from protocols.contract import Settings, WeightsRecord
from protocols.errors import look_up

if TYPE_CHECKING:
    from past_model.image_encoder import ImageEncoder
    from past_model.model import Past


def numbers_of(settings: Settings) -> PastSettings:
    """PAST's sizes at the profile."""
    return look_up(settings.profile, PROFILES, kind="profile", where="past")


def start_from_uni(encoder: ImageEncoder, settings: Settings) -> WeightsRecord | None:
    """Load UNI's weights into the image encoder if ``settings.weights`` names them, and say where they came from."""
    if "uni" not in settings.weights:
        return None
    spec = encoder_spec("uni")
    path, record = find_weights(spec, settings.weights["uni"])
    load_strictly(encoder.model, read_checkpoint(path), spec, where=path)
    return record


def released_encoder(name: str, settings: Settings) -> tuple[ImageEncoder, WeightsRecord]:
    """The image encoder of the released checkpoint that ``settings.weights[name]`` names (full profile)."""
    model, record = released_model(name, settings)
    return model.image_encoder.eval(), record


def released_model(name: str, settings: Settings) -> tuple[Past, WeightsRecord]:
    """The released checkpoint that ``settings.weights[name]`` names (full profile)."""
    from past_model.pretraining import build

    usual = ENCODERS["past"]
    path, record = find_file(name, settings.weights[name], usual.hub_file, usual.hub_repo_type)
    try:
        state = ReleasedState(read_checkpoint(path))
        # The table's length is the vocabulary's, which the checkpoint alone knows.
        model = build(numbers_of(settings), FAITHFUL, state.table_rows, seed=0)
        load_released(model, state)
    except CheckpointError as error:
        raise not_past(error, path) from None
    return model, record
