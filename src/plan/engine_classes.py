"""OpenFL's own classes that a plan can name or inherit from, by name: nothing is imported here.

Whoever reads a plan need not have OpenFL. That these are OpenFL 1.9's names and arguments is tested
where it is installed (`tests/engines/openfl/test_engine_classes.py`).
"""

Arguments = tuple[tuple[str, ...], tuple[str, ...]]  # all, needed

NETWORK = "openfl.federation.Network"  # OpenFL 1.9 names a class that does not exist here
POLICIES = "openfl.component.aggregator.straggler_handling"
FUNCTIONS = "openfl.interface.aggregation_functions"
NONE: Arguments = ((), ())

# The only ones that stand in a plan itself; where each may stand: `src.plan.places`.
NAMED: dict[str, Arguments] = {
    f"{POLICIES}.WaitForAllPolicy": NONE,
    f"{POLICIES}.CutoffTimePolicy": (
        ("round_start_time", "straggler_cutoff_time", "minimum_reporting"),
        (),
    ),
    f"{POLICIES}.PercentagePolicy": (
        ("percent_collaborators_needed", "minimum_reporting"),
        (),
    ),
    f"{FUNCTIONS}.weighted_average.WeightedAverage": NONE,
    f"{FUNCTIONS}.median.Median": NONE,
    f"{FUNCTIONS}.geometric_median.GeometricMedian": NONE,
}
# What classes of this kit, or of a bundle, inherit from.
INHERITED: dict[str, Arguments] = {
    "openfl.component.Aggregator": (
        (
            "aggregator_uuid",
            "federation_uuid",
            "authorized_cols",
            "init_state_path",
            "best_state_path",
            "last_state_path",
            "assigner",
            "connector",
            "use_delta_updates",
            "straggler_handling_policy",
            "rounds_to_train",
            "single_col_cert_common_name",
            "compression_pipeline",
            "db_store_rounds",
            "initial_tensor_dict",
            "log_memory_usage",
            "write_logs",
            "save_native_model",
            "callbacks",
            "persist_checkpoint",
            "persistent_db_path",
            "secure_aggregation",
        ),
        (
            "aggregator_uuid",
            "federation_uuid",
            "authorized_cols",
            "init_state_path",
            "best_state_path",
            "last_state_path",
            "assigner",
        ),
    ),
    "openfl.component.Collaborator": (
        (
            "collaborator_name",
            "aggregator_uuid",
            "federation_uuid",
            "client",
            "task_runner",
            "task_config",
            "opt_treatment",
            "device_assignment_policy",
            "use_delta_updates",
            "compression_pipeline",
            "db_store_rounds",
            "log_memory_usage",
            "write_logs",
            "callbacks",
            "secure_aggregation",
            "interop_mode",
        ),
        (
            "collaborator_name",
            "aggregator_uuid",
            "federation_uuid",
            "client",
            "task_runner",
            "task_config",
        ),
    ),
    "openfl.component.assigner.Assigner": (
        ("tasks", "authorized_cols", "rounds_to_train", "selected_task_group"),
        ("tasks", "authorized_cols", "rounds_to_train"),
    ),
    "openfl.federated.DataLoader": NONE,
    "openfl.federated.TaskRunner": (
        ("data_loader", "tensor_dict_split_fn_kwargs"),
        ("data_loader",),
    ),
    "openfl.pipelines.pipeline.TransformationPipeline": (("transformers",), ("transformers",)),
    f"{FUNCTIONS}.core.AggregationFunction": NONE,
}
ARGUMENTS: dict[str, Arguments] = NAMED | INHERITED
