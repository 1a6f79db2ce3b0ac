"""AnnData of proteins with positions, and the H&E."""

from __future__ import annotations

from protocols.task import Part, Reader

READER = Reader(
    name="protein_h5ad",
    task="expression",
    read=Part("protocols.readers.cells_on_image:read_h5ad"),
    columns=("h5ad", "image"),
    option_columns=(
        "layer",
        "x_column",
        "y_column",
        "xy_unit",
        "markers",
        "cell_type_column",
        "unit",
        "mpp",
        "max_outside",
    ),
)
