"""Spatial co-expression: gene by gene correlation of maps, truth beside models, in the order of the truth's clustering.

SEQUOIA, Methods ("spatial co-expression patterns") and Figure 5d-e: Pearson r of flattened maps within each section,
averaged over sections, hierarchical clustering, and a colour for each gene's meta-module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.metrics.subtypes import modules_of
from reports.figures import STYLE
from reports.tables import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Matrix = NDArray[np.floating[Any]]
MODULE_COLOURS = (
    "#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#0072b2", "#d55e00", "#f0e442", "#6f4bb2", "#882255", "#999933",
)  # fmt: skip
"""Told apart by colour-blind eyes (Okabe and Ito's, then three of Tol's kind)."""
NO_MODULE = "#b4bac3"
MOST_LABELS = 60
"""More genes than this get no names on the axis."""
ACROSS = 4


def by_gene(genes_of: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Gene to its modules, from modules to their genes (as a GMT file lists them); modules keep their order."""
    modules: dict[str, tuple[str, ...]] = {}
    for module, genes in genes_of.items():
        for gene in dict.fromkeys(genes):
            modules[gene] = (*modules.get(gene, ()), module)
    return modules


def module_names(genes: Sequence[str], modules: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The modules that these genes belong to, sorted by name.

    :raises UserError: more modules than colours that can be told apart
    """
    names = modules_of(genes, modules)
    if len(names) > len(MODULE_COLOURS):
        raise UserError(
            f"{len(names)} modules",
            where="gene modules",
            expected=f"at most {len(MODULE_COLOURS)}, because more colours cannot be told apart",
            remedy="pass fewer gene sets",
        )
    return names


def clustered(matrix: Matrix) -> NDArray[np.intp]:
    """Leaf order of average linkage on the distance 1 - r; ``matrix`` is ``(g, g)``.

    An undefined r (a gene that is constant in every section) counts as 0, no relation.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(matrix) < 3:
        return np.arange(len(matrix))
    known = np.nan_to_num(np.asarray(matrix, np.float64), nan=0.0)
    distance = 1.0 - np.clip((known + known.T) / 2, -1.0, 1.0)
    np.fill_diagonal(distance, 0.0)
    order: NDArray[np.intp] = leaves_list(linkage(squareform(distance), method="average")).astype(np.intp)
    return order


def agreement(truth: Matrix, model: Matrix) -> float | None:
    """Pearson r between the pairs of two matrices (above the diagonal, both defined); None where undefined."""
    upper = np.triu_indices(len(truth), k=1)
    a, b = np.asarray(truth, np.float64)[upper], np.asarray(model, np.float64)[upper]
    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def co_expression_figure(
    genes: Sequence[str],
    modules: Mapping[str, Sequence[str]],
    truth_matrix: Matrix,
    model_matrices: Mapping[str, Matrix],
) -> tuple[Figure, NDArray[np.intp]]:
    """Heatmaps of the truth and of every model, and the order of genes in all of them.

    :param genes: names of the ``g`` rows and columns
    :param modules: a gene's meta-modules; the first gives its colour, a gene without one stays grey
    :param truth_matrix: ``(g, g)`` r averaged over sections; NaN where undefined (drawn grey)
    :param model_matrices: the same by a model's title, drawn in this order
    :returns: the figure and ``(g,)`` indices into ``genes``
    :raises UserError: a matrix of another shape
    """
    import matplotlib
    from matplotlib.figure import Figure

    for title, matrix in {"truth": truth_matrix, **model_matrices}.items():
        _check(title, matrix, len(genes))
    names = module_names(genes, modules)
    order = clustered(truth_matrix)
    across = min(ACROSS, 1 + len(model_matrices))
    down = -(-(1 + len(model_matrices)) // across)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.5 * across + 0.9, 2.75 * down + 0.6), layout="constrained")
        grid = figure.subplots(down, across, squeeze=False)
        image: Any = None
        for place, axes in enumerate(grid.flat):
            if place > len(model_matrices):
                axes.set_axis_off()
                continue
            title, matrix = [("truth", truth_matrix), *model_matrices.items()][place]
            image = _draw(axes, matrix, order, [genes[i] for i in order] if place == 0 else [])
            r = agreement(truth_matrix, matrix)
            axes.set_title(title if place == 0 else f"{title}\nr with the truth's pairs {number(r, 2)}", fontsize=8)
            _side_bar(axes, [_first(modules.get(genes[i], ()), names) for i in order], len(names))
        figure.colorbar(image, ax=grid, shrink=0.6 if down == 1 else 0.35, label="mean Pearson r of maps")
        _legend(figure, names)
        figure.suptitle("Spatial co-expression, genes in the order of the truth's clustering", x=0.01, ha="left")
    return figure, order


def _check(title: str, matrix: Matrix, genes: int) -> None:
    if matrix.shape != (genes, genes):
        raise UserError(
            f"shape {matrix.shape}",
            where=f"co-expression matrix of {title}",
            expected=f"({genes}, {genes})",
            remedy="pass one row and one column a gene",
        )


def _draw(axes: Axes, matrix: Matrix, order: NDArray[np.intp], labels: Sequence[str]) -> Any:
    import matplotlib

    colours = matplotlib.colormaps["RdBu_r"].with_extremes(bad=NO_MODULE)
    shown = np.ma.masked_invalid(np.asarray(matrix, np.float64)[np.ix_(order, order)])
    image = axes.imshow(shown, cmap=colours, vmin=-1, vmax=1, interpolation="nearest", aspect="equal")
    axes.set_xticks([])
    axes.set_yticks([])
    if 0 < len(labels) <= MOST_LABELS:
        axes.set_yticks(range(len(labels)), labels, fontsize=max(2.5, min(6.0, 150 / len(labels))))
        axes.tick_params(axis="y", length=0, pad=9)
    for side in axes.spines.values():
        side.set_visible(False)
    return image


def _side_bar(axes: Axes, colours: Sequence[int | None], modules: int) -> None:
    """A strip of module colours at the left of the heatmap, and one above it."""
    from matplotlib.colors import to_rgb

    if not modules:
        return
    strip = np.array([to_rgb(NO_MODULE if c is None else MODULE_COLOURS[c]) for c in colours])
    for place, pixels in (((-0.045, 0, 0.03, 1), strip[:, None]), ((0, 1.015, 1, 0.03), strip[None])):
        side: Axes = axes.inset_axes(place)
        side.imshow(pixels, aspect="auto", interpolation="nearest")
        side.set_axis_off()


def _first(of_gene: Sequence[str], names: Sequence[str]) -> int | None:
    return names.index(of_gene[0]) if of_gene else None


def _legend(figure: Figure, names: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    if names:
        patches = [Patch(color=MODULE_COLOURS[i], label=name) for i, name in enumerate(names)]
        figure.legend(handles=patches, loc="outside lower left", ncols=min(len(names), 6), frameon=False, fontsize=8)
