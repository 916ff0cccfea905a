"""Flower's app: FedAvg at the server, noise instead of training at the sites.

It is copied into the app's folder, beside the workload, and runs in Flower's environment.
"""

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from . import workload

server = ServerApp()
client = ClientApp()


def record(tensors: workload.State) -> ArrayRecord:
    """A state in Flower's form."""
    return ArrayRecord({name: Array(tensor) for name, tensor in tensors.items()})


def vector(arrays: ArrayRecord) -> np.ndarray:
    """A state as one vector."""
    return workload.pack({name: array.numpy() for name, array in arrays.items()})


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Run FedAvg with all sites in all rounds and without evaluation; save the final model."""
    everyone = {"min_train_nodes": workload.SITES, "min_available_nodes": workload.SITES}
    strategy = FedAvg(fraction_train=1.0, fraction_evaluate=0.0, **everyone)
    result = strategy.start(
        grid=grid,
        initial_arrays=record(workload.unpack(workload.initial())),
        num_rounds=int(context.run_config["rounds"]),
    )
    np.save(str(context.run_config["out"]), vector(result.arrays))


@client.train()
def train(message: Message, context: Context) -> Message:
    """Return the model with the site's noise, and the site's weight."""
    site = int(context.node_config["partition-id"])
    round_number = int(message.content["config"]["server-round"]) - 1
    model = workload.trained(vector(message.content["arrays"]), site, round_number)
    weight = MetricRecord({"num-examples": workload.WEIGHTS[site]})
    content = RecordDict({"arrays": record(workload.unpack(model)), "metrics": weight})
    return Message(content=content, reply_to=message)
