"""The data loader (a door to OpenFL): a site's cases, as OpenFL's base class."""

from openfl.federated import DataLoader

from src.data.site_cases import SiteCases


class SiteData(SiteCases, DataLoader):
    """The part `data_loader` of a plan; its settings are those of `SiteCases`."""
