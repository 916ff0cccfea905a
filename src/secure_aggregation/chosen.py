"""The encryption that a plan chooses, known without an engine: nothing of it is built here."""

from collections.abc import Mapping
from typing import Any

from src.errors import PlanError, SettingError
from src.plan import plan as plans
from src.plan.declared import declared
from src.plan.sources import Sources
from src.secure_aggregation.settings import Encryption

PIPELINE = "src.engines.openfl.pipeline.EncryptedPipeline"


def encryption_of(pipeline: Mapping[str, Any], sources: Sources | None = None) -> Encryption | None:
    """The settings of a plan's encryption; None: it does not encrypt.

    pipeline: the plan's part. sources: where its class is read; None: of the kit that runs.
    PlanError: settings out of their range; or another's pipeline, which is not here to be built.
    """
    if not declared(pipeline, sources).encrypted:
        return None
    if pipeline["template"] != PIPELINE:
        return plans.build(pipeline).encryption
    settings: dict[str, Any] = dict(pipeline.get("settings") or {})
    settings.pop("noise", None)
    try:
        return Encryption(**{**settings, "cases": settings.get("cases") or {}})
    except (SettingError, TypeError) as error:
        raise PlanError(f"{PIPELINE}: {error}") from error
