"""GSE7390, the real cohort of every default run: it comes inside scikit-survival, so nothing is downloaded.

198 patients with node-negative breast cancer, the 76 probes of the Rotterdam signature, four clinical variables, and
the days to a distant metastasis (Desmedt et al., Clinical Cancer Research 2007). The probes were chosen as prognostic
on another cohort (Wang et al., Lancet 2005), so a genomic model starts from a good list.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from protocols.errors import UserError
from protocols.readers.patient_tables import DAYS_A_MONTH, assemble
from protocols.survival.cohort import PatientCohort

GRADES = {"poorly differentiated": 3.0, "intermediate": 2.0, "well differentiated": 1.0, "unkown": np.nan}
"""The file's own spelling."""
RECEPTOR = {"positive": 1.0, "negative": 0.0}
ENDPOINT = "distant metastasis"
DATA_FILE = "datasets/data/breast_cancer_GSE7390-metastasis.arff"
"""Inside scikit-survival's package."""


def data_files(_root: Path, **_options: object) -> list[Path]:
    """The file that scikit-survival reads the cohort from; the library itself is not imported to find it."""
    spec = find_spec("sksurv")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "scikit-survival is not installed",
            where="reader gse7390",
            expected="the library that brings the cohort",
            remedy="install scikit-survival",
        )
    return [Path(spec.submodule_search_locations[0]) / DATA_FILE]


def read_gse7390(name: str, _root: Path, *, endpoint: str = ENDPOINT) -> PatientCohort:
    """The cohort as scikit-survival ships it, whatever the root; patients are numbered in its order."""
    from sksurv.datasets import load_breast_cancer

    if endpoint != ENDPOINT:
        raise UserError(
            f"endpoint {endpoint!r}, and its event is another", where=f"cohort {name}, reader gse7390",
            expected=repr(ENDPOINT), remedy="drop endpoint",
        )  # fmt: skip
    features, follow_up = load_breast_cancer()
    patients = pd.Index([f"GSE7390-{number:03d}" for number in range(1, len(features) + 1)], name="patient")
    features.index = patients
    clinical = pd.DataFrame(
        {
            "age": features["age"].astype(float),
            "grade": features["grade"].astype(str).map(GRADES),
            "er": features["er"].astype(str).map(RECEPTOR),
            "size_cm": features["size"].astype(float),
        }
    )
    probes = [column for column in features.columns if column not in ("age", "grade", "er", "size")]
    genomic = features[probes].rename(columns={probe: f"{probe.removeprefix('X')}_rnaseq" for probe in probes})
    outcome = pd.DataFrame(
        {"time": follow_up["t.tdm"] / DAYS_A_MONTH, "event": follow_up["e.tdm"].astype(float)}, index=patients
    )
    return assemble(name, outcome, clinical, genomic, where="scikit-survival, GSE7390", endpoint=endpoint)
