"""From a data set, or synthetic patients, to one folder a site."""
