"""The data loader: OpenFL's interface to a site's cases."""

from openfl.federated import DataLoader

from src.engines.openfl.data_loader import SiteData

PATCHES = {"template": "src.data.patches.Patches", "settings": {"size": [16, 16, 16]}}


def test_openfl_gets_its_loader_with_shape_and_sizes(phantom_sites):
    site = SiteData(str(phantom_sites["one"]), patches=PATCHES)
    assert isinstance(site, DataLoader)
    assert (site.get_train_data_size(), site.get_valid_data_size()) == (4, 1)
    assert site.get_feature_shape() == (4, 16, 16, 16)


def test_without_data_there_is_a_shape_for_initialising_a_plan():
    assert SiteData(None, patches=PATCHES).get_feature_shape() == (4, 16, 16, 16)
