"""Does a prediction keep the tissue's cell populations? PAST's biology checks.

Source: PAST, Methods, "Single-cell gene expression prediction": Leiden on prediction and truth independently, top-5
marker genes per cluster, clusters matched "by ranking the PCC between sets of top marker genes", labels transferred;
Results: adjusted Rand index against the annotation, F1 of ACTA2+ myoepithelial cells (below 8 % of cells).

Where the paper leaves room, this is what is done:

* Differential expression: Welch's t of the cluster against the rest; the five highest t, up-regulated or not.
* PCC_cluster = corr(top5 of predicted cluster i, top5 of true cluster i) cannot be meant literally: two clusters have
  different top-5 genes. Here one gene set, the union of all clusters' top-5 in truth and prediction, carries every
  vector: mean expression of the cluster's cells, less the mean of all cells (``centred``, the default). Without
  that, what all cells share dominates and every pair correlates near 1; ``"raw"`` is kept as the paper's wording.
* Each predicted cluster takes the label of the true cluster with the highest correlation; several may take one. A
  cluster whose correlation is undefined (a prediction without structure) stays unassigned and forms one group.
* The rare type: the cells that the caller annotates, taken out of their truth clusters as a group of their own (with
  the rest of any cluster that is at least half annotated, so that no twin competes for the match), or, without
  annotation, the truth cluster with the highest mean of the rare marker, provided that it holds less than 8 %
  of cells. In stroma-rich tissue ACTA2 peaks in fibroblasts and muscle; the cluster is then large, and the answer None.
* Several folds on one slide: each fold's model has its own offset, which would itself look like clusters. So the
  truth is clustered once, each fold's prediction alone, and both Rand indices are means over folds weighted by cells:
  joined first, labels that merely change from fold to fold would agree with any truth that changes over space. Only
  the F1 of the rare type is scored on the joined labels, where its name, not the partition, counts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from protocols.metrics.clustering import ClusteringSettings, Float64Array, Labels, leiden_clusters

MINIMUM_CELLS = 20
MINIMUM_RARE_CELLS = 3
RARE_SHARE = 0.08
TOP_MARKERS = 5
UNASSIGNED = -1
ROUNDING = 1e-6  # relative spread below which a float32 profile counts as constant

Profile = Literal["centred", "raw"]


@dataclass(frozen=True)
class BiologyResult:
    """One slide. A None score has its reason beside it; ``predicted_clusters`` is the mean over folds."""

    n_cells: int
    n_genes: int
    truth_clusters: int | None = None
    predicted_clusters: float | None = None
    ari: float | None = None
    ari_after_transfer: float | None = None
    reason: str = ""
    rare_f1: float | None = None
    rare_cells: int | None = None
    rare_source: str = ""
    rare_reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _Rare:
    """The rare type's ``cells`` and the ``labels`` in which it is the group number ``group``, or why there is none."""

    labels: Labels
    group: int
    cells: NDArray[np.bool_] | None
    source: str
    reason: str = ""


def compare_biology(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    genes: tuple[str, ...],
    *,
    seed: int,
    folds: NDArray[np.str_] | None = None,
    rare_label: NDArray[np.bool_] | None = None,
    rare_marker: str = "ACTA2",
    profile: Profile = "centred",
    settings: ClusteringSettings | None = None,
) -> BiologyResult:
    """Compare the clusters of ``predicted`` and ``truth``, both ``(n, G)``, of one slide.

    Genes with a hole in the truth are dropped; ``folds`` ``(n,)`` names each cell's fold; ``rare_label`` ``(n,)``
    marks annotated cells of the rare type. Fewer than 20 cells (a slide, or any fold of it) give no score.
    """
    measured = ~np.isnan(truth).any(axis=0) if len(truth) else np.zeros(len(genes), dtype=bool)
    names = tuple(gene for gene, kept in zip(genes, measured, strict=True) if kept)
    parts = _parts(len(truth), folds)
    if min((len(part) for part in parts), default=0) < MINIMUM_CELLS or len(names) < 2:
        why = f"fewer than {MINIMUM_CELLS} cells" if len(names) >= 2 else "fewer than 2 genes measured in all cells"
        return BiologyResult(len(truth), len(names), reason=why, rare_reason=why)

    x, y = truth[:, measured].astype(np.float64), predicted[:, measured].astype(np.float64)
    true_labels = leiden_clusters(x, seed=seed, settings=settings)
    found = [leiden_clusters(y[part], seed=seed, settings=settings) for part in parts]
    clusters = int(true_labels.max()) + 1
    shared = {"truth_clusters": clusters, "predicted_clusters": float(np.mean([len(np.unique(f)) for f in found]))}
    if clusters < 2:
        why = "the truth falls into one cluster"
        return BiologyResult(len(x), len(names), **shared, reason=why, rare_reason=why)  # type: ignore[arg-type]

    ari = _mean_rand_index(true_labels, found, parts)
    rare = _rare_group(x, true_labels, names, rare_label, rare_marker)
    moved = transfer_labels(x, y, true_labels, parts, found, profile)
    rare_f1 = None
    if rare.cells is not None:
        named = moved if rare.labels is true_labels else transfer_labels(x, y, rare.labels, parts, found, profile)
        rare_f1 = f1_score(rare.cells, named == rare.group)
    return BiologyResult(
        n_cells=len(x),
        n_genes=len(names),
        **shared,  # type: ignore[arg-type]
        ari=ari,
        ari_after_transfer=_mean_rand_index(true_labels, [moved[part] for part in parts], parts),
        reason="" if ari is not None else "within every fold the truth falls into one cluster",
        rare_f1=rare_f1,
        rare_cells=None if rare.cells is None else int(rare.cells.sum()),
        rare_source=rare.source,
        rare_reason=rare.reason,
    )


def welch_t(values: Float64Array, labels: Labels) -> Float64Array:
    """Welch's t of each cluster against all other rows, ``(clusters, G)``; 0 where both sides are constant.

    A single cell has no variance of its own; it counts as 0.
    """
    x = values - values.mean(axis=0)  # sums of squares of centred values keep their digits
    clusters = int(labels.max()) + 1
    inside = np.zeros((clusters, len(x)))
    inside[labels, np.arange(len(x))] = 1.0
    n, total, squares = inside.sum(axis=1)[:, None], inside @ x, inside @ (x * x)
    parts = []
    for count, sums, square_sums in ((n, total, squares), (len(x) - n, -total, squares.sum(axis=0) - squares)):
        mean = sums / np.maximum(count, 1)
        variance = np.maximum(square_sums - count * mean * mean, 0.0) / np.maximum(count - 1, 1)
        parts.append((mean, variance / np.maximum(count, 1)))
    (mean_in, error_in), (mean_out, error_out) = parts
    error = np.sqrt(error_in + error_out)
    t: Float64Array = np.divide(mean_in - mean_out, error, out=np.zeros_like(error), where=error > 0)
    return t


def top_markers(values: Float64Array, labels: Labels, top: int = TOP_MARKERS) -> Labels:
    """Columns of each cluster's ``top`` highest t, best first, ``(clusters, top)``; ties keep the gene order."""
    return np.argsort(-welch_t(values, labels), axis=1, kind="stable")[:, :top]


def transfer_labels(
    truth: Float64Array,
    predicted: Float64Array,
    true_labels: Labels,
    parts: list[Labels],
    found: list[Labels],
    profile: Profile = "centred",
) -> Labels:
    """The truth label that each cell gets through its predicted cluster, ``(n,)``; -1 is unassigned.

    ``parts`` are the rows of each fold, ``found`` the predicted clusters of those rows.
    """
    truth_markers, references = top_markers(truth, true_labels).ravel(), _means(truth, true_labels)
    moved = np.full(len(truth), UNASSIGNED, dtype=np.int64)
    for part, labels in zip(parts, found, strict=True):
        if labels.max() == 0:
            continue  # one cluster says nothing about which is which
        genes = np.union1d(truth_markers, top_markers(predicted[part], labels).ravel())
        # The prediction is centred on its fold, whose model has its own offset; the truth on the whole slide, because
        # its mean over the fold would tell the match which types the fold holds.
        base_p, base_t = (predicted[part].mean(axis=0), truth.mean(axis=0)) if profile == "centred" else (0, 0)
        similar = _row_correlations(
            (_means(predicted[part], labels) - base_p)[:, genes], (references - base_t)[:, genes]
        )
        match = np.where(np.isnan(similar).all(axis=1), UNASSIGNED, np.argmax(np.nan_to_num(similar, nan=-2.0), axis=1))
        moved[part] = match[labels]
    return moved


def adjusted_rand_index(a: NDArray[np.integer[Any]], b: NDArray[np.integer[Any]]) -> float:
    """Hubert & Arabie 1985: pairs that agree, less those expected by chance. Two equal partitions give 1.0."""
    _, a_dense = np.unique(a, return_inverse=True)
    _, b_dense = np.unique(b, return_inverse=True)
    width = int(b_dense.max()) + 1
    table = np.bincount(a_dense * width + b_dense, minlength=(int(a_dense.max()) + 1) * width).reshape(-1, width)
    both, in_a, in_b, all_pairs = (_pairs(c) for c in (table, table.sum(axis=1), table.sum(axis=0), np.array([len(a)])))
    expected = in_a * in_b / all_pairs if all_pairs else 0.0
    most = (in_a + in_b) / 2
    return 1.0 if most == expected else float((both - expected) / (most - expected))


def f1_score(true: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float:
    """2·hits / (true + predicted); 0.0 where nothing is predicted and something is there."""
    marked = int(true.sum()) + int(predicted.sum())
    return 2 * int((true & predicted).sum()) / marked if marked else 0.0


def _rare_group(
    truth: Float64Array, labels: Labels, genes: tuple[str, ...], annotated: NDArray[np.bool_] | None, marker: str
) -> _Rare:
    if annotated is not None:
        cells = int(annotated.sum())
        if cells < MINIMUM_RARE_CELLS or cells == len(labels):
            why = f"{cells} of {len(labels)} cells annotated as the rare type"
            return _Rare(labels, 0, None, "annotation", why)
        mostly_rare = np.bincount(labels, weights=annotated) >= np.bincount(labels) / 2
        _, groups = np.unique(np.where(annotated | mostly_rare[labels], -1, labels), return_inverse=True)
        return _Rare(groups, 0, annotated, "annotation")  # -1 sorts first: the rare type is group 0
    if marker not in genes:
        return _Rare(labels, 0, None, "", f"{marker} is not measured and no cells are annotated")
    source = f"truth cluster highest in {marker}"
    means = _means(truth[:, [genes.index(marker)]], labels)[:, 0]
    group = int(np.argmax(means))
    share = float((labels == group).mean())
    if share >= RARE_SHARE:
        return _Rare(
            labels, group, None, source, f"that cluster holds {share:.0%} of cells, not below {RARE_SHARE:.0%}"
        )
    return _Rare(labels, group, labels == group, source)


def _mean_rand_index(true_labels: Labels, found: list[Labels], parts: list[Labels]) -> float | None:
    """Mean over folds, weighted by cells. A fold whose truth is one cluster has nothing to recover and is left out:
    there, a prediction without structure would score 1."""
    scored = [(p, f) for p, f in zip(parts, found, strict=True) if len(np.unique(true_labels[p])) > 1]
    total = sum(adjusted_rand_index(true_labels[part], labels) * len(part) for part, labels in scored)
    return float(total / sum(len(part) for part, _ in scored)) if scored else None


def _parts(n: int, folds: NDArray[np.str_] | None) -> list[Labels]:
    if folds is None:
        return [np.arange(n)]
    return [np.flatnonzero(folds == name) for name in np.unique(folds)]


def _means(values: Float64Array, labels: Labels) -> Float64Array:
    """Mean row of each cluster, ``(clusters, G)``."""
    inside = np.zeros((int(labels.max()) + 1, len(values)))
    inside[labels, np.arange(len(values))] = 1.0
    means: Float64Array = inside @ values / inside.sum(axis=1, keepdims=True)
    return means


def _row_correlations(a: Float64Array, b: Float64Array) -> Float64Array:
    """Pearson r of every row of ``a`` with every row of ``b``; NaN where a row is constant up to rounding."""
    unit = []
    for rows in (a, b):
        centred = rows - rows.mean(axis=1, keepdims=True)
        norm, size = (np.sqrt(np.einsum("ij,ij->i", values, values))[:, None] for values in (centred, rows))
        unit.append(np.divide(centred, norm, out=np.full_like(centred, np.nan), where=norm > ROUNDING * size))
    r: Float64Array = unit[0] @ unit[1].T
    return r


def _pairs(counts: NDArray[np.integer[Any]]) -> float:
    return float((counts.astype(np.float64) * (counts - 1)).sum() / 2)
