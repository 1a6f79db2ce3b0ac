"""AnnData of proteins with positions, and the H&E."""

from __future__ import annotations

from protocols.expression.proteins import ProteinReader
from protocols.task import Part

READER = ProteinReader(
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
