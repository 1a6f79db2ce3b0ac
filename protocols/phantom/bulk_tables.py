"""Expression tables of the bulk phantom in the files' own formats: GDC STAR counts, a reference CSV, GTEx's GCT."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from protocols.files import write_text_whole, written_whole
from protocols.phantom.bulk_genes import BulkGene, ensembl_id
from protocols.phantom.bundle import fixed_uuid
from protocols.phantom.tissue import Float
from protocols.seeds import generator

GENE_MODEL = "# gene-model: GENCODE v36\n"
UNCOUNTED = ("N_unmapped", "N_multimapping", "N_noFeature", "N_ambiguous")
PSEUDOGENES = ("PHPSEUDO1", "PHPSEUDO2")
"""Rows of another type, which a reader leaves out."""
SAMPLE_SHEET = "sample_sheet.tsv"
MANIFEST = "manifest.txt"


def write_gdc(
    folder: Path, seed: int, project: str, patients: Sequence[str], genes: tuple[BulkGene, ...], log2: Float
) -> None:
    """One STAR file a patient under ``<file id>/``, GDC's manifest and its sample sheet.

    The first patient has a second aliquot (a normal sample), as real downloads do; a reader takes primary tumours.
    """
    manifest, sheet = [], []
    samples = [(patient, row, "01A", "Primary Tumor") for row, patient in enumerate(patients)]
    samples.append((patients[0], 0, "11A", "Solid Tissue Normal"))
    for patient, row, code, kind in samples:
        file_id = fixed_uuid(seed, project, patient, code, "file")
        name = f"{fixed_uuid(seed, project, patient, code, 'name')}.rna_seq.augmented_star_gene_counts.tsv.gz"
        rng = generator(seed, "star", project, patient, code)
        values = log2[row] if code == "01A" else log2[row] * rng.uniform(0.9, 1.1, len(genes))
        content = _zipped(star_counts(rng, genes, values))
        path = folder / file_id / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as part:
            part.write_bytes(content)
        manifest.append((file_id, name, hashlib.md5(content, usedforsecurity=False).hexdigest(), len(content)))
        sheet.append((file_id, name, f"TCGA-{project.upper()}", patient, f"{patient}-{code}", kind))
    lines = [f"{file_id}\t{name}\t{md5}\t{size}\treleased\n" for file_id, name, md5, size in manifest]
    write_text_whole(folder / MANIFEST, "id\tfilename\tmd5\tsize\tstate\n" + "".join(lines))
    head = "File ID\tFile Name\tData Category\tData Type\tProject ID\tCase ID\tSample ID\tSample Type\n"
    kinds = "Transcriptome Profiling\tGene Expression Quantification"
    lines = [
        f"{file_id}\t{name}\t{kinds}\t{project_id}\t{patient}\t{sample}\t{kind}\n"
        for file_id, name, project_id, patient, sample, kind in sheet
    ]
    write_text_whole(folder / SAMPLE_SHEET, head + "".join(lines))


def star_counts(rng: np.random.Generator, genes: tuple[BulkGene, ...], log2: Float) -> str:
    """A ``rna_seq.augmented_star_gene_counts.tsv``; counts follow from the FPKM-UQ values and a library size."""
    fpkm_uq = np.round(np.exp2(log2) - 1, 2)  # four decimals are printed; the last two would only cost space
    rows = [(ensembl_id(g.name, genes), g.name, g.kind, v) for g, v in zip(genes, fpkm_uq, strict=True)]
    rows += [
        (f"ENSG00009{800_000 + k:06d}", name, "processed_pseudogene", float(np.round(rng.exponential(2.0), 2)))
        for k, name in enumerate(PSEUDOGENES)
    ]
    text = io.StringIO()
    text.write(GENE_MODEL)
    text.write("gene_id\tgene_name\tgene_type\tunstranded\tstranded_first\tstranded_second\t")
    text.write("tpm_unstranded\tfpkm_unstranded\tfpkm_uq_unstranded\n")
    for name in UNCOUNTED:
        one, two = rng.integers(10_000, 90_000, 2)
        text.write(f"{name}\t\t\t{one}\t{two}\t{two}\t\t\t\n")
    total = max(sum(value for *_, value in rows), 1e-9)
    for gene, name, kind, value in rows:
        count = round(value * 2)
        # Both strands hold about half; TPM and FPKM differ from FPKM-UQ by a factor a file (here rounded).
        text.write(f"{gene}.1\t{name}\t{kind}\t{count}\t{count // 2}\t{count - count // 2}\t")
        text.write(f"{round(value / total * 1e6):.4f}\t{round(value * 0.8):.4f}\t{value:.4f}\n")
    return text.getvalue()


def write_reference_csv(
    path: Path,
    project: str,
    slides: Sequence[tuple[str, str]],
    patients: Sequence[str],
    genes: Sequence[str],
    log2: Float,
) -> None:
    """SEQUOIA's reference table: one row a slide (``(slide, patient)``), ``rna_<symbol>`` columns, log2(v + 1)."""
    place = {patient: row for row, patient in enumerate(patients)}
    rows = np.round(log2[[place[patient] for _, patient in slides]], 3)
    table = pd.DataFrame(rows, columns=[f"rna_{gene}" for gene in genes])
    table.insert(0, "wsi_file_name", [f"{slide}.svs" for slide, _ in slides])
    table.insert(1, "patient_id", [patient for _, patient in slides])
    table.insert(2, "tcga_project", project)
    with written_whole(path) as part:
        part.write_bytes(_zipped(table.to_csv(index=False, lineterminator="\n")))


def write_gtex(folder: Path, samples: Sequence[tuple[str, str]], genes: tuple[BulkGene, ...], log2: Float) -> None:
    """``gene_fpkm_uq.gct.gz`` and ``sample_attributes.tsv`` (SAMPID, SMTS); ``samples`` are (id, tissue)."""
    values = np.round(np.exp2(log2) - 1, 3)
    text = io.StringIO()
    text.write(f"#1.2\n{len(genes)}\t{len(samples)}\n")
    text.write("\t".join(["Name", "Description", *(sample for sample, _ in samples)]) + "\n")
    for column, gene in enumerate(genes):
        text.write(
            "\t".join([f"{ensembl_id(gene.name, genes)}.1", gene.name, *(f"{v:.3f}" for v in values[:, column])])
        )
        text.write("\n")
    with written_whole(folder / "gene_fpkm_uq.gct.gz") as part:
        part.write_bytes(_zipped(text.getvalue()))
    lines = [f"{sample}\t{tissue.capitalize()}\n" for sample, tissue in samples]
    write_text_whole(folder / "sample_attributes.tsv", "SAMPID\tSMTS\n" + "".join(lines))


def _zipped(text: str) -> bytes:
    """gzip without a date, so that equal text is equal bytes."""
    return gzip.compress(text.encode(), compresslevel=9, mtime=0)
