"""What plans of earlier releases called otherwise: old template paths and settings, and today's."""

DP, OPENFL = "src.differential_privacy", "src.engines.openfl"

TEMPLATES = {
    "src.aggregation.aggregator.Aggregator": f"{OPENFL}.aggregator.Aggregator",
    "src.aggregation.encrypted_sum.EncryptedSum": "src.secure_aggregation.encrypted_sum."
    "EncryptedSum",
    "src.aggregation.rule.Rule": f"{OPENFL}.aggregation_function.Rule",
    "src.aggregation.schedule.TrainThenValidate": f"{OPENFL}.assigner.TrainThenValidate",
    "src.data.loader.SiteData": f"{OPENFL}.data_loader.SiteData",
    "src.privacy.dp_sgd.PatientDPSGD": f"{DP}.dp_sgd.PatientDPSGD",
    "src.privacy.dp_update.SiteDP": f"{DP}.site_level.SiteDP",
    "src.privacy.pipeline.EncryptedPipeline": f"{OPENFL}.pipeline.EncryptedPipeline",
    "src.privacy.pipeline.PlainPipeline": f"{OPENFL}.pipeline.PlainPipeline",
    "src.privacy.releases.AllMetrics": f"{DP}.reported_metrics.AllMetrics",
    "src.privacy.releases.NoMetrics": f"{DP}.reported_metrics.NoMetrics",
    "src.privacy.releases.NoisyDice": f"{DP}.reported_metrics.NoisyDice",
    "src.privacy.releases.PublicValidation": f"{DP}.reported_metrics.PublicValidation",
    "src.training.site.Site": f"{OPENFL}.collaborator.Site",
    "src.training.task_runner.SegmentationTaskRunner": f"{OPENFL}.task_runner."
    "SegmentationTaskRunner",
}
SETTINGS = {"releases": "reported_metrics", "tune": "trainable"}
