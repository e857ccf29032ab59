"""Defaults of the environment; read before Prefect or transformers are imported.

Whatever the user has set stays. Telemetry of Prefect (server and SDK) and of Hugging Face is off,
model hubs are not asked, and Prefect keeps its database in Synopt's own folder.
"""

import os
from contextlib import suppress
from pathlib import Path

from platformdirs import user_data_path

RECORDS_VARIABLE = "SYNOPT_RECORDS"
"""URL of the database that holds a cohort's records."""

DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_HOME": str(user_data_path("synopt") / "prefect"),
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def set_defaults() -> None:
    """Set every default that the user has not set."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    # Prefect makes only the last folder of this path; where even that fails it says so itself.
    with suppress(OSError):
        Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)
