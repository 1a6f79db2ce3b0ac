"""What a cohort of paired patches holds of whom: the H&E and the IHC image of each patch."""

from __future__ import annotations

from protocols.identity.evidence import Evidence, Item
from protocols.staining.store import IhcStore
from protocols.task import Opened


def evidence(opened: Opened) -> Evidence:
    """Copies are looked for among H&E images; of IHC images bytes and pixels are compared, which costs little."""
    store: IhcStore = opened.store
    items = []
    for row, (marker, name, patient, he, ihc) in enumerate(
        store.table[["marker", "name", "patient", "he", "ihc"]].itertuples(index=False)
    ):
        for stain, path in (("H&E", he), ("IHC", ihc)):
            items.append(
                Item(
                    f"{stain} of {marker} patch {name}",
                    patient or None,
                    (row, row + 1),
                    scan=store.root / path,
                    picture=True,
                    look=stain == "H&E",
                )
            )
    return Evidence(tuple(items))
