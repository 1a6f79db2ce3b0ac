"""The released checkpoint of PAST as a whole model, image and cell side."""

from __future__ import annotations

from baselines.weights.files import find_file
from past_model.model import Past
from past_model.pretraining import build
from past_model.settings import FAITHFUL, PROFILES
from past_model.weights import CheckpointError, load_released, read_released
from protocols.contract import Settings, WeightsRecord
from protocols.errors import UserError, look_up

HUB_FILE = "checkpoint-context300.pth"


def released_model(name: str, settings: Settings) -> tuple[Past, WeightsRecord]:
    """The released checkpoint that ``settings.weights[name]`` names (full profile)."""
    numbers = look_up(settings.profile, PROFILES, kind="profile", where="past")
    path, record = find_file(name, settings.weights[name], HUB_FILE)
    try:
        state = read_released(path)
        # The table's length is the vocabulary's, which the checkpoint alone knows.
        model = build(numbers, FAITHFUL, state.table_rows, seed=0)
        load_released(model, state)
    except CheckpointError as error:
        raise UserError(
            str(error), where=path, expected="the layout of Boyoungc/PAST",
            remedy="published weights fit profile: full; fetch the file again if it is damaged",
        ) from None  # fmt: skip
    return model, record
