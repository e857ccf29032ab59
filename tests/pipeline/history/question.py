"""The least that a protocol says; tests add the table, the concepts, the site's parts."""

QUESTION: dict[str, object] = {
    "name": "p",
    "title": "A question",
    "series": [{"name": "t1", "modality": "MR"}],
    "grid": {"spacing_mm": [4, 4, 4], "size": [16, 16, 16]},
    "intensity": {"kind": "percentile", "low": 1, "high": 99},
    "look_back_days": 365,
    "tasks": [{"name": "lesion", "question": "Is there a lesion?"}],
}
