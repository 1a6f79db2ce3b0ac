"""``slide2omics list``: everything that a run's file can name."""

from __future__ import annotations

from pathlib import Path

from protocols.registry import load_protocol, load_task, protocol_modules, reader_modules, task_modules


def listing() -> list[str]:
    from baselines.encoders.entries import known_encoders
    from baselines.registry import known_models, load_model_class

    lines = []
    cards = [load_model_class(name, {}, Path.cwd()).card for name in sorted(known_models({}))]
    protocols = sorted((load_protocol(name) for name in protocol_modules()), key=lambda one: (one.place, one.name))
    for name in task_modules():
        task = load_task(name)
        lines.append(f"{name}: {task.title}")
        lines += [f"  protocol  {one.name:<34}{one.question}" for one in protocols if one.task == name]
        lines += [f"  reader    {reader}" for reader in reader_modules(name)]
        lines += [f"  {card.kind:<10}{card.name:<34}{card.title}" for card in cards if card.task == name]
    return [*lines, "encoders", *(f"  {name}" for name in known_encoders({}))]
