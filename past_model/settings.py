"""Every number of PAST in one frozen place: sizes and training (:class:`PastSettings`), choices (:class:`Variant`).

A profile ("mini", "full") changes numbers only. A variant says what is computed where the paper, the released code
and good sense differ; the numbers are the same for both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class PastSettings:
    """Sizes, optimiser and budget. Lengths in pixels or micrometres as named; rates per step of AdamW.

    ``context_length`` counts the three metadata tokens (300 in the released code, so at most 297 genes), while a
    graph node lists ``context_length`` genes because nodes carry no metadata tokens. ``view`` is the central share of
    the crop's side that the image encoder sees. ``most_threads``: small matrices lose time to a second one.
    """

    image_pixels: int
    view: float
    patch_pixels: int
    image_dim: int
    image_depth: int
    image_heads: int
    layer_scale: float
    context_length: int
    cell_dim: int
    cell_layers: int
    cell_heads: int
    cell_feedforward: int
    graph_hidden: int
    graph_dropout: float
    neighbours: int
    radius_um: float
    fusion_heads: int
    projection_dim: int
    projection_dropout: float
    temperature: float
    learning_rate: float
    pretrained_image_factor: float
    final_learning_rate: float
    weight_decay: float
    beta1: float
    beta2: float
    batch_size: int
    epochs: int
    warmup_epochs: float
    max_pairs: int
    embed_batch: int
    most_threads: int


FULL = PastSettings(
    image_pixels=224,
    view=1.0,
    patch_pixels=16,
    image_dim=1024,
    image_depth=24,
    image_heads=16,
    layer_scale=1e-5,
    context_length=300,
    cell_dim=512,
    cell_layers=12,
    cell_heads=16,
    cell_feedforward=1024,
    graph_hidden=256,
    graph_dropout=0.1,
    neighbours=8,
    radius_um=30.0,  # half a crop: 112 pixels at the usual 0.27 micrometres a pixel of a Xenium H&E image
    fusion_heads=4,
    projection_dim=256,
    projection_dropout=0.0,  # as the release runs: its configuration sets 0.1 and, below that, 0.0
    temperature=0.07,
    learning_rate=5e-4,  # the released configuration; the paper prints 1e-3
    pretrained_image_factor=0.1,
    final_learning_rate=1e-6,
    weight_decay=0.02,
    beta1=0.9,
    beta2=0.95,
    batch_size=48,
    epochs=16,
    warmup_epochs=1,
    max_pairs=100_000,
    embed_batch=256,
    most_threads=64,
)

MINI = PastSettings(
    image_pixels=24,
    view=0.5,  # the cell itself: a small encoder from a random start cannot afford its surroundings
    patch_pixels=4,
    image_dim=64,
    image_depth=1,
    image_heads=4,
    layer_scale=1.0,  # 1e-5 never grows in a hundred steps from a random start
    context_length=16,
    cell_dim=32,
    cell_layers=1,
    cell_heads=4,
    cell_feedforward=64,
    graph_hidden=16,
    graph_dropout=0.1,
    neighbours=8,
    radius_um=30.0,
    fusion_heads=4,
    projection_dim=32,
    projection_dropout=0.0,  # as the release runs: its configuration sets 0.1 and, below that, 0.0
    temperature=0.07,
    learning_rate=2e-3,
    pretrained_image_factor=0.1,
    final_learning_rate=1e-6,
    weight_decay=0.02,
    beta1=0.9,
    beta2=0.95,
    batch_size=32,
    epochs=1,
    warmup_epochs=0.3,
    max_pairs=4000,
    embed_batch=256,
    most_threads=1,
)

PROFILES: dict[str, PastSettings] = {"mini": MINI, "full": FULL}


@dataclass(frozen=True)
class Variant:
    """Where the paper, the released code and good sense differ: one switch a difference.

    - ``pool_padding``: mean over all gene positions, padding included (code), or over real genes only. With padding
      the pooled vector depends on how much room was left over.
    - ``raw_id_nodes``: graph nodes are token ids cast to float (code), or the mean embedding of their genes (paper).
      An id is a name, not a quantity; raw ids reach 20,339 and saturate the graph attention.
    - ``graph_distances``: GATv2 with the cells' distances as edge features (paper: edges "based on Euclidean
      distances"), or GAT without them (code).
    - ``transposed_targets``: the image-to-cell term uses the transposed targets (code and paper), whose rows do not
      sum to 1, or row-normalised ones.
    - ``targets_need_gradient``: the gradient also flows through the targets (code), so that the model may lower its
      loss by moving the goal; or targets are constants.
    - ``image_factor``: a pre-trained image encoder keeps its smaller learning rate; in the released code the scheduler
      overwrites it.
    - ``augment``: random flips and quarter turns of the crop (a cell has no up); none in the released code.
    - ``own_share``: share of a cell's own crop in its target, beside the similarity-adjusted part. Neither paper nor
      code has it, so it is 0 in both variants that carry the published name; ``own_crop`` has it on. Without it nothing
      parts the pairs once all embeddings are nearly equal, because the targets then are, too. A model that starts at
      random falls into that point and stays; one that starts from UNI's weights starts outside.
    """

    name: str
    pool_padding: bool
    raw_id_nodes: bool
    graph_distances: bool
    transposed_targets: bool
    targets_need_gradient: bool
    image_factor: bool
    augment: bool
    own_share: float


FAITHFUL = Variant("faithful", True, True, False, True, True, False, False, 0.0)
CORRECTED = Variant("corrected", False, False, True, False, False, True, True, 0.0)
OWN_CROP = replace(CORRECTED, name="own_crop", own_share=0.5)
VARIANTS: dict[str, Variant] = {variant.name: variant for variant in (FAITHFUL, CORRECTED, OWN_CROP)}
