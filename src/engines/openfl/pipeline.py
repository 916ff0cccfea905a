"""The pipelines (a door to OpenFL): what a plan can choose for its updates, plain or encrypted."""

from collections.abc import Mapping
from typing import Any

from openfl.pipelines.pipeline import TransformationPipeline

from src.engines.openfl.codec import EncryptingTransformer, PlainTransformer
from src.engines.openfl.model_file import read_plain_model
from src.plan import plan as plans
from src.plan.parts import Declares
from src.plan.view import Plan
from src.rounds.preparation import add_noise, encrypting_site
from src.secure_aggregation.settings import Encryption
from src.secure_aggregation.site import EncryptingSite


class PlainPipeline(TransformationPipeline):
    """Nothing hidden, nothing lost: the baseline that every other pipeline is measured against."""

    DECLARES = Declares(
        leaves="the whole model after each round of local training, readable by the aggregator; "
        "the numbers of training and of validation cases",
        privacy="none but TLS: a model can leak what it was trained on, and the aggregator reads "
        "it",
        encrypted=False,
    )

    encryption: Encryption | None = None
    noise: Any = None

    def __init__(self) -> None:
        super().__init__(transformers=[PlainTransformer()])

    def at_site(self, gate: Any, site: str, plan: Plan, runner: Any) -> EncryptingSite | None:
        """What seals and opens at a site, started. Here: nothing does."""
        return None


class EncryptedPipeline(TransformationPipeline):
    """settings: of `Encryption`. Aggregator and desk hold no key; here they only pass bytes on.

    noise: a part (`src.differential_privacy.site_level.SiteDP`) for differential privacy per site.
    """

    DECLARES = Declares(
        leaves="the whole model after each round of local training, encrypted, masked, with a MAC",
        privacy="the aggregator adds what it cannot read; the sites read the sum of a round's "
        "updates, which encryption does not protect; metrics, sizes and times are in the clear",
        encrypted=True,
    )

    def __init__(
        self,
        *,
        bits: int = 24,
        min_sites: int | None = None,
        accomplices: int = 1,
        max_void: int = 2,
        max_roster_changes: int = 2,
        most_cases: int = 100,
        cases: Mapping[str, int] | None = None,
        noise: Mapping[str, Any] | None = None,
    ) -> None:
        self.encryption = Encryption(
            bits=bits,
            min_sites=min_sites,
            accomplices=accomplices,
            max_void=max_void,
            max_roster_changes=max_roster_changes,
            most_cases=most_cases,
            cases=cases or {},
        )
        self.noise: Any = plans.build(noise) if noise else None
        if self.noise is not None:
            self.noise.check(self.encryption)
        self._transformer = EncryptingTransformer()
        super().__init__(transformers=[self._transformer])

    def at_site(self, gate: Any, site: str, plan: Plan, runner: Any) -> EncryptingSite:
        """Take the run's keys from the gate and start encrypting.

        Refused, RunFailed, SettingError: it cannot, or must not.
        """
        initial = gate.workspace / plan.init_weights
        encrypting = encrypting_site(
            self.encryption, gate, site, plan, gate.workspace, lambda: read_plain_model(initial)
        )
        if self.noise is not None:
            add_noise(self.noise, encrypting, gate, plan, runner.data_loader)
        encrypting.start()
        self._transformer.encrypt_with(encrypting, runner.get_train_data_size)
        return encrypting
