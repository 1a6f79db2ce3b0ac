"""The readers of proteins on the public CyCIF tables of scimap; figures by pandas alone, taken beside our code."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from protocols.readers.cell_table import read_cell_table
from protocols.readers.protein_h5ad import read_protein_h5ad

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif("SLIDE2OMICS_REAL_DATA" not in os.environ, reason="SLIDE2OMICS_REAL_DATA is not set"),
]


@pytest.fixture(scope="module")
def folder():
    return Path(os.environ["SLIDE2OMICS_REAL_DATA"]) / "protein"


def mean(found, marker):
    return float(found.intensities[:, found.markers.index(marker)].mean(dtype=np.float64))


def test_mcmicros_exemplar(folder):
    found = read_cell_table(folder / "scimapExampleData__exemplar-001--unmicst_cell.csv.gz")
    assert len(found.ids) == 11_201
    assert found.markers == ("ELANE", "CD57", "CD45", "CD11B", "SMA", "CD16", "ECAD", "FOXP3", "NCAM")
    assert mean(found, "ELANE") == pytest.approx(1584.628136, rel=1e-6)
    assert mean(found, "NCAM") == pytest.approx(917.838919, rel=1e-6)
    np.testing.assert_allclose(found.xy.mean(axis=0), [1195.929339, 1906.186719], rtol=1e-9)
    assert (found.unit, found.cell_type) == ("px", None)
    assert "layout is that of MCMICRO" in found.notes[0]
    assert any(note.endswith("left out: DNA_6, DNA_7, DNA_8") for note in found.notes)


def test_scimaps_example(folder):
    """Markers by our rule are those that scimap's own AnnData of the same cells keeps."""
    found = read_cell_table(folder / "_data__example_data.csv.gz")
    scaled = read_protein_h5ad(folder / "_data__example_data.h5ad")
    assert (len(found.ids), len(scaled.ids), len(found.markers)) == (3029, 3029, 33)
    assert found.markers == scaled.markers
    assert mean(found, "CD25") == pytest.approx(693.857893, rel=1e-6)
    assert mean(found, "KI67") == pytest.approx(3453.046667, rel=1e-6)
    assert mean(scaled, "CD25") == pytest.approx(0.423038, rel=1e-5)
    assert mean(scaled, "KI67") == pytest.approx(0.425303, rel=1e-5)
    np.testing.assert_allclose(found.xy, scaled.xy, atol=1e-4)
    assert "16 bits" in found.span
    assert "0 to 1" in scaled.span


def test_scimaps_annotation(folder):
    scaled = read_protein_h5ad(folder / "_data__example_data.h5ad")
    names, number = np.unique(scaled.cell_type, return_counts=True)
    found = dict(zip(names.tolist(), number.tolist(), strict=True))
    assert (found["Tumor CD45- CD30+"], found["ASMA+ cells"]) == (1169, 329)
