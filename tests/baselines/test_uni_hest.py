"""The HEST recipe against scikit-learn written out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from baselines.expression.uni_hest import UNIHest
from protocols.expression.toy import inputs_of, toy_training


@pytest.mark.parametrize("features", [16, 300])
def test_equals_the_written_out_recipe(features: int) -> None:
    data = toy_training(n=320, genes=6, holes=False)
    x = np.random.default_rng(0).normal(size=(320, features)).astype(np.float32)
    data = replace(data, embedding_reader=lambda rows: x[rows])
    model = UNIHest()
    model.fit(data)

    components = min(256, features)
    z = PCA(components, random_state=0).fit_transform(StandardScaler().fit_transform(x.astype(float)))
    ridge = Ridge(alpha=100 / (components * 6), solver="lsqr", fit_intercept=False, tol=1e-12)
    expected = ridge.fit(z, data.targets.astype(float)).predict(z)
    np.testing.assert_allclose(model.predict(inputs_of(data)), expected, rtol=1e-4, atol=1e-4)
