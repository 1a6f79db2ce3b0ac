"""``slide2omics new-model``: the file a newcomer starts from; each task brings its own template."""

from __future__ import annotations

import re
from pathlib import Path

from protocols.errors import UserError
from protocols.names import safe_name
from protocols.registry import load_task


def write_new_model(name: str, folder: Path, task: str = "expression") -> Path:
    """Write ``<folder>/<name>.py``, a model of that task; an existing file is never overwritten."""
    template: str = load_task(task).template()
    safe_name(name, kind="model", where="new-model")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UserError(
            f"{name!r} is no model name", where="new-model", expected="lower_case_words", remedy="e.g. my_model"
        )
    path = folder / f"{name}.py"
    if path.exists():
        raise UserError("file exists", where=path, expected="a new file", remedy="choose another name or remove it")
    class_name = "".join(word.capitalize() for word in name.split("_"))
    path.write_text(template.format(name=name, class_name=class_name, title=name.replace("_", " ").capitalize()))
    return path
