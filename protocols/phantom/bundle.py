"""One slide as a Xenium output bundle, laid out as Xenium Onboard Analysis 3 writes it.

Left out, because nothing of the phantom has it: transcripts, the morphology (DAPI) images, the analysis folder
and the label masks of ``cells.zarr.zip``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from protocols.files import write_text_whole, written_whole
from protocols.phantom.frames import MORPHOLOGY_UM, alignment_text, to_xenium_um
from protocols.phantom.outlines import areas, polygons
from protocols.phantom.settings import PhantomSettings
from protocols.phantom.tables import write_lattice, write_parquet
from protocols.phantom.tissue import Float, SlideName, Tissue
from protocols.phantom.zarr_zip import write_cells_zarr
from protocols.seeds import generator

CENTROID_QUANTUM = 2.0**-10
"""Centroids are written to the nearest 1/1024 µm: far below a pixel, and it packs well."""
GENOME = "GRCh38"


@dataclass(frozen=True)
class CellTable:
    """What the bundle says of cells in Xenium micrometres. Outlines are ``(n, vertices, 2)``, open."""

    ids: list[str]
    centroid: Float
    cell_outline: Float
    nucleus_outline: Float
    cell_area: Float
    nucleus_area: Float


def cell_id(number: int) -> str:
    """10x's text form: eight letters a-p for the hexadecimal digits, then the data set's suffix."""
    return "".join(chr(ord("a") + int(digit, 16)) for digit in f"{number:08x}") + "-1"


def fixed_uuid(seed: int, *names: object) -> str:
    """A UUID that follows from the seed."""
    return str(UUID(bytes=generator(seed, "uuid", *names).bytes(16), version=4))


def measure_cells(settings: PhantomSettings, tissue: Tissue, alignment: Float) -> CellTable:
    """Centroids, outlines (on the morphology image's pixel lattice, as in a real bundle) and areas."""
    outlines = []
    for nucleus in (False, True):
        corners = polygons(tissue, settings.boundary_vertices, nucleus=nucleus)
        um = to_xenium_um(alignment, corners.reshape(-1, 2) / settings.mpp).reshape(corners.shape)
        outlines.append(np.round(um / MORPHOLOGY_UM) * MORPHOLOGY_UM)
    centroid = to_xenium_um(alignment, tissue.xy / settings.mpp)
    return CellTable(
        ids=[cell_id(i + 1) for i in range(len(tissue))],
        centroid=np.round(centroid / CENTROID_QUANTUM) * CENTROID_QUANTUM,
        cell_outline=outlines[0],
        nucleus_outline=outlines[1],
        cell_area=areas(outlines[0]),
        nucleus_area=areas(outlines[1]),
    )


def write_cells(folder: Path, cells: CellTable, counts: NDArray[np.int32], controls: NDArray[np.int32]) -> None:
    n = len(cells.ids)
    transcripts, control = counts.sum(axis=1, dtype=np.int64), controls.sum(axis=1, dtype=np.int64)
    none = np.zeros(n, dtype=np.int64)
    write_parquet(
        folder / "cells.parquet",
        {
            "cell_id": cells.ids,
            "x_centroid": cells.centroid[:, 0],
            "y_centroid": cells.centroid[:, 1],
            "transcript_counts": transcripts,
            "control_probe_counts": control,
            "genomic_control_counts": none,
            "control_codeword_counts": none,
            "unassigned_codeword_counts": none,
            "deprecated_codeword_counts": none,
            "total_counts": transcripts + control,
            "cell_area": cells.cell_area,
            "nucleus_area": cells.nucleus_area,
            "nucleus_count": none + 1,
            "segmentation_method": ["Segmented by nucleus expansion of 5.0µm"] * n,
        },
    )


def write_outlines(path: Path, ids: list[str], outlines: Float) -> None:
    """Closed polygons, one row a corner, the first repeated at the end."""
    closed = np.concatenate([outlines, outlines[:, :1]], axis=1)
    n, corners = closed.shape[:2]
    write_lattice(
        path,
        {
            "cell_id": np.repeat(np.array(ids, dtype=object), corners),
            "vertex_x": closed[..., 0].ravel().astype(np.float32),
            "vertex_y": closed[..., 1].ravel().astype(np.float32),
            "label_id": np.repeat(np.arange(1, n + 1, dtype=np.uint32), corners),
        },
    )


def write_matrix(
    path: Path,
    ids: list[str],
    genes: tuple[str, ...],
    gene_ids: list[str],
    counts: Any,
    controls: Any,
    chemistry: str = "Xenium",
) -> None:
    """``cell_feature_matrix.h5``: 10x's CSC layout, features in rows, cells in columns."""
    import h5py
    from scipy import sparse

    probes = [f"NegControlProbe_{i:05d}" for i in range(controls.shape[1])]
    matrix = sparse.csc_matrix(np.concatenate([counts, controls], axis=1).T)
    matrix.sort_indices()
    kinds = ["Gene Expression"] * len(genes) + ["Negative Control Probe"] * len(probes)

    def text(values: list[str]) -> NDArray[np.bytes_]:
        return np.array([value.encode() for value in values])

    with written_whole(path) as part, h5py.File(part, "w", libver=("earliest", "v110")) as file:
        file.attrs["filetype"] = "matrix"
        file.attrs["version"] = 2
        file.attrs["chemistry_description"] = chemistry
        file.attrs["software_version"] = "phantom"

        def put(name: str, values: Any) -> None:
            # No times in the file: its bytes must follow from its content.
            file.create_dataset(
                name, data=values, compression="gzip", compression_opts=9, shuffle=True, track_times=False
            )

        put("matrix/barcodes", text(ids))
        put("matrix/data", matrix.data.astype(np.int32))
        put("matrix/indices", matrix.indices.astype(np.int64))
        put("matrix/indptr", matrix.indptr.astype(np.int64))
        put("matrix/shape", np.array(matrix.shape, dtype=np.int32))
        put("matrix/features/id", text(gene_ids + probes))
        put("matrix/features/name", text([*genes, *probes]))
        put("matrix/features/feature_type", text(kinds))
        put("matrix/features/genome", text([GENOME] * len(genes) + ["Unknown"] * len(probes)))
        file.create_dataset("matrix/features/_all_tag_keys", data=text(["genome"]), track_times=False)


def experiment(seed: int, name: SlideName, cells: CellTable, counts: NDArray[np.int32]) -> dict[str, Any]:
    """``experiment.xenium``; the keys are 10x's."""
    per_cell = int(np.median(counts.sum(axis=1)))
    return {
        "major_version": 5,
        "minor_version": 0,
        "patch_version": 0,
        "run_name": "phantom",
        "run_start_time": "2000-01-01T00:00:00Z",
        "region_name": name.slide,
        "preservation_method": "simulated",
        "num_cells": len(cells.ids),
        "transcripts_per_cell": per_cell,
        "transcripts_per_100um": round(float(counts.sum() / cells.cell_area.sum() * 100), 2),
        "cassette_name": name.slide,
        "slide_id": name.slide,
        "panel_design_id": f"phantom_{name.cancer}",
        "panel_name": f"Phantom {name.cancer} panel",
        "panel_organism": "Human",
        "panel_tissue_type": name.cancer,
        "panel_num_targets_predesigned": counts.shape[1],
        "panel_num_targets_custom": 0,
        "pixel_size": MORPHOLOGY_UM,
        "instrument_sn": "PHANTOM",
        "instrument_sw_version": "3.0.0.0",
        "analysis_sw_version": "xenium-3.0.0.15",
        "experiment_uuid": fixed_uuid(seed, name.slide, "experiment"),
        "roi_uuid": fixed_uuid(seed, name.slide, "roi"),
        "z_step_size": 3.0,
        "segmentation_stain": "",
        "images": {},
        "xenium_explorer_files": {"cells_zarr_filepath": "cells.zarr.zip"},
    }


def write_bundle(
    folder: Path,
    settings: PhantomSettings,
    seed: int,
    tissue: Tissue,
    alignment: Float,
    genes: tuple[str, ...],
    gene_ids: list[str],
    counts: NDArray[np.int32],
) -> CellTable:
    """Write everything of the bundle but the image and the keypoints."""
    name = tissue.name
    cells = measure_cells(settings, tissue, alignment)
    rng = generator(seed, "controls", name.slide)
    controls = rng.poisson(0.01, (len(tissue), settings.control_probes)).astype(np.int32)
    write_cells(folder, cells, counts, controls)
    write_matrix(folder / "cell_feature_matrix.h5", cells.ids, genes, gene_ids, counts, controls)
    write_outlines(folder / "cell_boundaries.parquet", cells.ids, cells.cell_outline)
    write_outlines(folder / "nucleus_boundaries.parquet", cells.ids, cells.nucleus_outline)
    one = np.ones(len(tissue))
    summary = np.column_stack([cells.centroid, cells.cell_area, cells.centroid, cells.nucleus_area, 0 * one, one])
    write_cells_zarr(folder / "cells.zarr.zip", summary)
    write_text_whole(folder / f"{name.slide}_he_imagealignment.csv", alignment_text(alignment))
    specs = experiment(seed, name, cells, counts)
    write_text_whole(folder / "experiment.xenium", json.dumps(specs, indent=2) + "\n")
    return cells
