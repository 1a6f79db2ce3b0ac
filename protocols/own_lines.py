"""Where an error lies for a model's author: at a line of their own file, not of the library that was called."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path


def own_line(error: BaseException, model_class: type | None) -> str:
    """``file:line`` of the last frame that lies in the model's file or beside it; empty where none does."""
    module = sys.modules.get(model_class.__module__) if model_class is not None else None
    source = getattr(module, "__file__", None)
    if source is None:
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).parent == Path(source).parent]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else ""
