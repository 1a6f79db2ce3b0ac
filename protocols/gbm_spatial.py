"""Spatial maps by models that were trained on slides: does a bulk model know where a gene is expressed?

The five fold models of one cancer answer windows of 10 x 10 tiles of sections with spatial transcriptomics; a tile's
value is the mean over the windows that cover it. The paper's Earth Mover's Distance hardly tells a good map from a
constant one, so maps are ranked by Pearson r, and controls stand on every axis.
"""

from __future__ import annotations

from protocols.bulk.protocol import BulkProtocol

PROTOCOL = BulkProtocol(
    name="gbm_spatial",
    version="1",
    title="Spatial maps of slide-trained models",
    question="Ask models trained on bulk expression of slides for maps, and hold them against spatial transcriptomics.",
    source="SEQUOIA (Zheng et al., preprint 2023), Methods, spatial visualization and Earth Mover's Distance",
    target="percentile scores (0 to 100) of each gene over a section's tiles",
    headline="pearson_of_maps",
    disjoint=("patient",),
)
