"""Times and traffic of GPUs in machines: by hand, and against what two processes send each other."""

import json
from pathlib import Path

import launched_ranks as ranks
import pytest

from xllmx.ranks.machines import LINK_SHARE, Machines, Traffic, step_traffic
from xllmx.settings.setting import SettingError

G = 1_000_000


def test_products_take_flops_over_the_share_of_the_peak() -> None:
    assert Machines(gpu="A100", utilisation=0.5).product_seconds(312e12) == pytest.approx(2)


def test_a_step_gathers_twice_sums_once_and_the_rest_of_the_model_is_gathered_once() -> None:
    traffic = step_traffic([20 * G, 30 * G, 10 * G], trainable=60 * G, shards=4, replicas=1, batches=3)
    assert traffic.gathered == pytest.approx(0.75 * 3 * 2 * (10 + 2 * 50) * G)
    assert traffic.reduced == pytest.approx(0.75 * 4 * 60 * G)
    assert traffic.between == 0
    once = step_traffic([20 * G, 30 * G, 10 * G], trainable=60 * G, shards=4, replicas=1, gathers_again=False)
    assert once.gathered == pytest.approx(0.75 * 2 * 60 * G)


def test_one_gpu_sends_nothing_and_whole_copies_only_their_gradients() -> None:
    assert step_traffic([G], trainable=G, shards=1, replicas=1).total == 0
    whole = step_traffic([G], trainable=G, shards=1, replicas=4)
    assert (whole.gathered, whole.reduced, whole.between) == (0, 0, 2 * 0.75 * 4 * G)


def test_inside_a_machine_the_links_decide_and_across_machines_the_network() -> None:
    traffic = Traffic(shards=8, gathered=3e9, reduced=1e9, between=0.0)
    assert Machines(num_gpus=8).exchange_seconds(traffic) == pytest.approx(4e9 / (LINK_SHARE * 450e9))
    wide = Traffic(shards=16, gathered=3e9, reduced=1e9, between=0.0)
    assert Machines(num_gpus=16).exchange_seconds(wide) == pytest.approx(4e9 / (LINK_SHARE * 400e9))
    slow = Machines(num_gpus=16, network_gb_s=25.0, link_gb_s=100.0)
    assert slow.exchange_seconds(wide) == pytest.approx(4e9 / (LINK_SHARE * 25e9))


def test_copies_a_machine_each_send_only_gradients_over_the_network() -> None:
    """Eight GPUs of a machine each send their eighth of the gradients to the other copies."""
    traffic = Traffic(shards=8, gathered=3e9, reduced=1e9, between=0.5e9)
    machines = Machines(num_gpus=16, network_gb_s=100.0)
    assert machines.exchange_seconds(traffic) == pytest.approx(8 * 0.5e9 / (LINK_SHARE * 100e9))


def test_one_gpu_a_machine_uses_no_link() -> None:
    machines = Machines(num_gpus=2, gpus_per_machine=1, network_gb_s=10.0)
    traffic = Traffic(shards=2, gathered=1e9, reduced=0.0, between=0.0)
    assert machines.exchange_seconds(traffic) == pytest.approx(1e9 / (LINK_SHARE * 10e9))


@pytest.mark.parametrize(
    ("given", "message"),
    [({"gpu": "H20"}, "did you mean H200"), ({"utilisation": 0.0}, "above 0 and at most 1"), ({"num_gpus": 0}, "is 0")],
)
def test_what_cannot_be_reckoned_is_named(given: dict, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Machines(**given)


COUNTED = """
import json, sys
import launched_ranks as ranks
from torch.distributed.fsdp._fully_shard import _fsdp_collectives as fsdp

sent = {"gathered": 0.0, "reduced": 0.0}

def counting(kind, name, whole):
    original = kind.__call__

    def call(self, *words, **named):
        sent[name] += {**dict(zip(("output_tensor", "input_tensor"), words)), **named}[whole].nbytes / 2
        return original(self, *words, **named)

    kind.__call__ = call

counting(fsdp.DefaultAllGather, "gathered", "output_tensor")
counting(fsdp.DefaultReduceScatter, "reduced", "input_tensor")
entry = json.loads(sys.argv[1])
ranks.train(entry)
if ranks.os.environ["RANK"] == "0":
    open(entry["sent"], "w").write(json.dumps(sent))
"""
"""Half of what is gathered or summed is sent by each of two processes; torch has no public way to count it."""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("again", [True, False])
def test_two_processes_send_what_is_reckoned(tmp_path: Path, again: bool) -> None:
    """Of the toy model 6x8 + 8 are a unit; the rest is a norm of 16 and a head of 5 rows, of which each sends 3."""
    steps, batches, sent = 3, 2, tmp_path / "sent.json"
    entry = {
        "run": str(tmp_path / "run"),
        "sent": str(sent),
        "trainer": {"max_steps": steps, "batch_size": {"image": 2}, "grad_accumulation": batches},
        "parallel": {"reshard_after_forward": again},
    }
    _, codes = ranks.ended(ranks.start_ranks(["-c", COUNTED, json.dumps(entry)], num=2))
    assert codes == [0, 0]
    unit, rest = 6 * 8 + 8, 2 * 8 + 6 * 8
    wanted = step_traffic(
        [unit, rest], trainable=unit + rest, shards=2, replicas=1, precision="fp32", batches=batches,
        gathers_again=again,
    )  # fmt: skip
    assert json.loads(sent.read_text()) == {"gathered": steps * wanted.gathered, "reduced": steps * wanted.reduced}
