"""What starts ranks is told of a lease in its own words."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.demands import settle
from smartsim.domain.errors import AllocationError
from smartsim.domain.placement import Placement, enqueue, plan
from smartsim.domain.resources import Lease, Node, ResourceRequest, Share
from smartsim.domain.settings.launch_words import has, without
from smartsim.domain.settings.lease_words import needs, placed, unplaced
from smartsim.domain.settings.mpi import MpiFlavour, MpirunSettings
from smartsim.domain.steps import Step

NODES = (Node("n1", (0, 1, 2, 3), (0, 1)), Node("n2", (0, 1, 2, 3), (0, 1)), Node("n3", (0, 1, 2, 3), (0, 1)))
EVEN = Lease((Share("n1", 2, (0, 1, 2, 3)), Share("n2", 2, (0, 1, 2, 3))))
UNEVEN = Lease((Share("n2", 2, (2, 3)), Share("n3", 1, (0,))))
FILE = "/out/solver/solver-1.ranks"


def step(
    ranks: str, launch: tuple[str, ...], request: ResourceRequest | None, environment: Mapping[str, str] | None = None
) -> Step:
    out = "/out/solver/solver"
    environment = environment or {}
    return Step(
        "solver-1", ("solver", "in"), launch, environment, "/w", f"{out}.out", f"{out}.err", None, ranks, request
    )


def words(
    ranks: str,
    launch: str,
    request: ResourceRequest,
    lease: Lease,
    flavour: MpiFlavour | None = None,
    *,
    binds: bool = True,
    nodes: tuple[Node, ...] = NODES,
) -> tuple[str, dict[str, str], str]:
    """Return the command line, the environment, and the one file."""
    asking = step(ranks, tuple(launch.split()), request)
    result, files = placed(asking, request, lease, nodes, flavour, binds=binds)
    assert set(files) <= {FILE}
    return " ".join(result.command), dict(result.environment), files.get(FILE, b"").decode()


def lease_of(request: ResourceRequest) -> Lease:
    return plan(enqueue(Placement.of(NODES), "s", settle("s", request, NODES)))[0]["s"]


# Slurm


@pytest.mark.parametrize(
    ("launch", "request_", "expected"),
    [
        (
            "srun",
            ResourceRequest(tasks=2),
            "srun --nodes=1 --ntasks=2 --exact --cpus-per-task=1 --mem=0 --nodelist=n1 solver in",
        ),
        (
            "srun --output o --nodes=2 --ntasks-per-node=2 --cpus-per-task=2",
            ResourceRequest(nodes=2, tasks_per_node=2, cpus_per_task=2),
            "srun --ntasks=4 --exact --mem=0 --nodelist=n1,n2 --output o --nodes=2 --cpus-per-task=2 solver in",
        ),
        (
            "srun -N 1 -n 1 -w n3,n2 --mem=100M --exclusive",
            ResourceRequest(tasks=1, nodes=1, hosts=("n3",)),
            "srun --cpus-per-task=1 --nodelist=n3 -N 1 -n 1 --mem=100M --exclusive solver in",
        ),
        (
            "srun",
            ResourceRequest(gpus_per_node=1),
            "srun --nodes=1 --ntasks=1 --exact --cpus-per-task=1 --gres=gpu:1 --mem=0 --nodelist=n1 solver in",
        ),
        (
            "srun --gpus-per-node=a100:1",
            ResourceRequest(gpus_per_node=1),
            (
                "srun --nodes=1 --ntasks=1 --exact --cpus-per-task=1 --mem=0 --nodelist=n1 --gpus-per-node=a100:1 "
                "solver in"
            ),
        ),
        (
            "srun",
            ResourceRequest(nodes=1, whole_nodes=True),
            "srun --nodes=1 --ntasks=1 --mem=0 --nodelist=n1 solver in",
        ),
    ],
)
def test_srun_is_told_of_nodes_and_numbers(launch: str, request_: ResourceRequest, expected: str) -> None:
    assert words("srun", launch, request_, lease_of(request_)) == (expected, {}, "")


def test_srun_is_told_rank_by_rank_where_nodes_have_different_numbers() -> None:
    command, _, hosts = words("srun", "srun --ntasks=3 --nodelist=n2,n3", ResourceRequest(tasks=3), UNEVEN)
    assert f"--nodelist={FILE} --distribution=arbitrary --ntasks=3 solver in" in command
    assert hosts == "n2\nn2\nn3\n"
    command, _, hosts = words("srun", "srun -m block", ResourceRequest(tasks=3), UNEVEN)
    assert "--nodelist=n2,n3 -m block solver in" in command
    assert hosts == ""


@pytest.mark.parametrize("sharing", ["--overlap", "--exclusive", "--exact", "--jobid"])
def test_a_step_of_srun_without_a_lease_is_in_nobodys_way(sharing: str) -> None:
    assert unplaced(step("srun", ("srun", "-n", "1"), None)).launch == ("srun", "--overlap", "-n", "1")
    assert unplaced(step("srun", ("srun", sharing), None)).launch == ("srun", sharing)


def test_a_step_of_srun_that_says_nothing_of_gpus_has_all_of_its_nodes_and_shares_them_with_nobody() -> None:
    silent, asking = ResourceRequest(tasks=1), ResourceRequest(gpus_per_node=1)
    assert needs(step("srun", ("srun",), silent), "n1") == ResourceRequest(tasks=1, all_gpus=True)
    assert needs(step("srun", ("srun", "--gres=none"), silent), "n1") == silent
    assert needs(step("srun", ("srun", "--gpus-per-node=1"), asking), "n1") == asking
    assert needs(step("pals", ("mpiexec",), silent), "n1") == silent


# MPI


def test_open_mpi_is_told_the_cpus_of_each_rank() -> None:
    request = ResourceRequest(tasks=4, cpus_per_task=2)
    command, environment, ranks = words("mpirun", "mpirun --n 4 -x A=1", request, EVEN, MpiFlavour.OPEN_MPI_5)
    assert command == (
        f"mpirun --host n1:2,n2:2 --map-by rankfile:file={FILE}:OVERSUBSCRIBE --bind-to core --n 4 -x A=1 solver in"
    )
    assert ranks == "rank 0=n1 slot=0,1\nrank 1=n1 slot=2,3\nrank 2=n2 slot=0,1\nrank 3=n2 slot=2,3\n"
    assert environment == {"SLURM_OVERLAP": "1"}
    command, environment, older = words("mpirun", "mpirun", request, EVEN, MpiFlavour.OPEN_MPI)
    assert command == f"mpirun -n 4 --host n1:2,n2:2 --oversubscribe --rankfile {FILE} solver in"
    assert older == ranks


def test_what_asked_for_resources_is_replaced_by_what_was_given() -> None:
    settings = MpirunSettings("solver")
    settings.set_tasks(4)
    settings.set_tasks_per_node(2)
    settings.set_cpus_per_task(2)
    settings.set_hostlist(["n1", "n2"])
    launch = " ".join(["mpirun", *settings.format_run_args()])
    request = settings.resources()
    assert request is not None
    command, _, ranks = words("mpirun", launch, request, EVEN, MpiFlavour.OPEN_MPI)
    assert command == f"mpirun --host n1:2,n2:2 --oversubscribe --rankfile {FILE} --n 4 solver in"
    assert "rank 3=n2 slot=2,3" in ranks


@pytest.mark.parametrize(
    ("flavour", "launch", "expected"),
    [
        (
            MpiFlavour.OPEN_MPI,
            "mpirun",
            "mpirun -n 3 --host n2:2,n3:1 --oversubscribe --bind-to none solver in",
        ),
        (
            MpiFlavour.OPEN_MPI_5,
            "mpirun --npernode 2",
            "mpirun -n 3 --host n2:2,n3:1 --map-by :OVERSUBSCRIBE --bind-to none solver in",
        ),
        (
            MpiFlavour.OPEN_MPI_5,
            "mpirun --bind-to numa",
            "mpirun -n 3 --host n2:2,n3:1 --map-by :OVERSUBSCRIBE --bind-to numa solver in",
        ),
        (
            MpiFlavour.OPEN_MPI_5,
            "mpirun --map-by ppr:2:node",
            "mpirun -n 3 --host n2:2,n3:1 --map-by ppr:2:node solver in",
        ),
        (MpiFlavour.MPICH, "mpirun -ppn 2", f"mpirun -n 3 -f {FILE} solver in"),
        (MpiFlavour.MPICH, "mpirun -bind-to numa", f"mpirun -n 3 -f {FILE} -bind-to numa solver in"),
        (MpiFlavour.INTEL, "mpirun", f"mpirun -n 3 -machinefile {FILE} solver in"),
        (None, "mpirun", "mpirun solver in"),
    ],
)
def test_ranks_that_are_not_bound_have_their_hosts(flavour: MpiFlavour | None, launch: str, expected: str) -> None:
    command, environment, hosts = words("mpirun", launch, ResourceRequest(tasks=3), UNEVEN, flavour, binds=False)
    assert command == expected
    assert environment["SLURM_OVERLAP"] == "1"
    assert hosts in ("", "n2:2\nn3:1\n")


def test_ranks_that_the_user_binds_are_left_to_the_user() -> None:
    for launch in ("mpirun --bind-to numa", "mpirun --map-by numa", "mpirun --rankfile mine"):
        command, _, ranks = words("mpirun", launch, ResourceRequest(tasks=3), UNEVEN, MpiFlavour.OPEN_MPI)
        assert command.endswith(f"{launch.partition(' ')[2]} solver in")
        assert "--bind-to none" not in command
        assert ranks == ""
    _, _, hosts = words("mpirun", "mpirun -bind-to numa", ResourceRequest(tasks=3), UNEVEN, MpiFlavour.MPICH)
    assert hosts == "n2:2\nn3:1\n"


def test_hydra_is_told_the_cpus_of_each_rank() -> None:
    request = ResourceRequest(tasks=4, cpus_per_task=2)
    launch = "mpiexec -n 4 -ppn 2 -hosts n1,n2 -bind-to core:2"
    command, _, hosts = words("mpirun", launch, request, EVEN, MpiFlavour.MPICH)
    assert command == f"mpiexec -f {FILE} -n 4 solver in"
    assert hosts == "n1:2 binding=user:0+1,2+3\nn2:2 binding=user:0+1,2+3\n"


def test_intel_mpi_is_told_the_cpus_where_they_are_the_same_on_all_nodes() -> None:
    request = ResourceRequest(tasks=4, cpus_per_task=2)
    command, environment, _ = words("mpirun", "mpirun -env I_MPI_PIN_DOMAIN 2", request, EVEN, MpiFlavour.INTEL)
    assert command == f"mpirun -n 4 -machinefile {FILE} solver in"
    assert environment["I_MPI_PIN_DOMAIN"] == "[3,C]"
    _, environment, _ = words("mpirun", "mpirun", ResourceRequest(tasks=3), UNEVEN, MpiFlavour.INTEL)
    assert environment["I_MPI_PIN"] == "off"
    assert "I_MPI_PIN_DOMAIN" not in environment


def test_cpus_of_mpi_are_counted_from_the_first_of_the_allocation() -> None:
    # Others have 0 to 7 of the node, and what is started there does not see them.
    nodes = (Node("n1", (8, 9, 10, 11)), Node("n2", (2, 4, 6)))
    lease = Lease((Share("n1", 1, (10,)), Share("n2", 1, (6,))))
    request = ResourceRequest(nodes=2)
    ranks = words("mpirun", "mpirun", request, lease, MpiFlavour.OPEN_MPI, nodes=nodes)[2]
    assert ranks == "rank 0=n1 slot=2\nrank 1=n2 slot=2\n"
    assert "--cpu-bind list:2" in words("pals", "mpiexec", request, lease, nodes=nodes)[0]


def test_ranks_of_mpi_see_their_gpus_only() -> None:
    request = ResourceRequest(tasks=1, gpus_per_node=1)
    lease = Lease((Share("n1", 1, (2,), (1,)),))
    command, environment, _ = words("mpirun", "mpirun", request, lease, MpiFlavour.OPEN_MPI_5)
    assert environment["CUDA_VISIBLE_DEVICES"] == "1"
    assert "-x CUDA_VISIBLE_DEVICES" in command
    command, environment, _ = words("mpirun", "mpirun", request, lease, MpiFlavour.MPICH)
    assert environment["CUDA_VISIBLE_DEVICES"] == "1"
    assert "-x" not in command


def test_what_the_user_says_of_gpus_stays() -> None:
    request = ResourceRequest(gpus_per_node=1)
    own = step("mpirun", ("mpirun",), request, {"CUDA_VISIBLE_DEVICES": "7"})
    lease = Lease((Share("n1", 1, (2,), (1,)),))
    assert placed(own, request, lease, NODES, MpiFlavour.MPICH)[0].environment["CUDA_VISIBLE_DEVICES"] == "7"


def test_daemons_of_mpi_start_beside_other_steps_of_slurm() -> None:
    assert unplaced(step("mpirun", ("mpirun",), None)).environment == {"SLURM_OVERLAP": "1"}
    assert unplaced(step("pals", ("mpiexec",), None)) == step("pals", ("mpiexec",), None)


# PALS, ALPS, JSM, Flux


def test_pals_is_told_hosts_and_cpus() -> None:
    request = ResourceRequest(tasks=4, cpus_per_task=2)
    command, _, _ = words("pals", "mpiexec --wdir /w --ppn 4 --hosts n1,n2,n3 /bind.sh", request, EVEN)
    assert command == ("mpiexec --hosts n1,n2 --ppn 2 --np 4 --cpu-bind list:0,1:2,3 --wdir /w /bind.sh solver in")


def test_pals_has_one_list_of_cpus_for_all_nodes() -> None:
    command, _, _ = words("pals", "mpiexec --np 3", ResourceRequest(tasks=3), UNEVEN)
    assert command == "mpiexec --hosts n2,n3 --ppn 2 --cpu-bind none --np 3 solver in"
    lease = Lease((Share("n1", 1, (1,), (0,)), Share("n2", 2, (1, 2), (0,))))
    command, environment, _ = words("pals", "mpiexec --np 3", ResourceRequest(tasks=3, gpus_per_node=1), lease)
    assert command == (
        "mpiexec --hosts n2,n1 --ppn 2 --cpu-bind list:1:2 --env CUDA_VISIBLE_DEVICES=0 --np 3 solver in"
    )
    assert environment == {"CUDA_VISIBLE_DEVICES": "0"}
    assert "--cpu-bind none" in words("pals", "mpiexec", ResourceRequest(tasks=3), lease, binds=False)[0]
    assert "list" not in words("pals", "mpiexec --cpu-bind numa", ResourceRequest(tasks=3), lease)[0]


def test_aprun_has_whole_nodes_by_number() -> None:
    request = needs(step("aprun", ("aprun",), ResourceRequest(tasks=4, cpus_per_task=2)), "login")
    assert request == ResourceRequest(tasks=4, cpus_per_task=2, whole_nodes=True)
    lease = Lease((Share("nid00012", 2, (0, 1, 2, 3)), Share("nid00120", 2, (0, 1, 2, 3))))
    command, _, _ = words("aprun", "aprun --wdir /w -N 4", request, lease)
    assert command == "aprun --node-list=12,120 --pes-per-node=2 --pes=4 --cpus-per-pe=2 --wdir /w solver in"


def test_what_fills_one_node_after_the_other_cannot_do_everything() -> None:
    lease = Lease((Share("n1", 2, (0, 1)), Share("n2", 1, (0,)), Share("n3", 1, (0,))))
    for ranks in ("pals", "aprun"):
        with pytest.raises(AllocationError, match="cannot start 4 tasks as 2.1.1 on 3 nodes"):
            words(ranks, "mpiexec", ResourceRequest(tasks=4, nodes=3), lease)


def test_jsrun_without_resource_sets_is_told_the_cpus_of_each_rank() -> None:
    lease = Lease((Share("n2", 2, (2, 3), (1,)), Share("n3", 1, (0,), (1,))))
    command, _, sets = words("jsrun", "jsrun --chdir /w", ResourceRequest(tasks=3, gpus_per_node=1), lease)
    assert command == f"jsrun --erf_input={FILE} --chdir /w solver in"
    assert sets.splitlines() == [
        "cpu_index_using: logical",
        "rank: 0: { host: 2; cpu: {2}; gpu: {1} }",
        "rank: 1: { host: 2; cpu: {3}; gpu: {1} }",
        "rank: 2: { host: 3; cpu: {0}; gpu: {1} }",
    ]
    command, _, sets = words("jsrun", "jsrun --nrs=2 --cpu_per_rs=2", ResourceRequest(tasks=2), UNEVEN)
    assert (command, sets) == ("jsrun --nrs=2 --cpu_per_rs=2 solver in", "")


def test_flux_is_told_of_nodes() -> None:
    command, _, _ = words("flux", "flux run --ntasks=4", ResourceRequest(tasks=4, cpus_per_task=2), EVEN)
    assert command == "flux run --requires=host:n1,n2 --nodes=2 --cores-per-task=2 --ntasks=4 solver in"
    command, _, _ = words("flux", "flux run", ResourceRequest(tasks=3), UNEVEN)
    assert command == "flux run --requires=host:n2,n3 --ntasks=3 --cores-per-task=1 solver in"
    request = ResourceRequest(nodes=2, tasks_per_node=2)
    command, _, _ = words("flux", "flux run --nodes=2 --tasks-per-node=2 --requires=fast", request, EVEN)
    assert command == "flux run --nodes=2 --tasks-per-node=2 --requires=fast solver in"


# Others


def test_a_process_of_the_driver_is_bound_on_its_node() -> None:
    request = needs(step("", (), ResourceRequest(tasks=2, gpus_per_node=1)), "n2")
    assert request == ResourceRequest(tasks=2, nodes=1, gpus_per_node=1, hosts=("n2",))
    lease = lease_of(request)
    result, files = placed(step("", (), request), request, lease, NODES, binds=True)
    assert (result.command, result.cpus, result.environment, files) == (
        ("solver", "in"),
        (0, 1),
        {"CUDA_VISIBLE_DEVICES": "0"},
        {},
    )
    assert placed(step("", (), request), request, lease, NODES)[0].cpus == ()


def test_a_process_of_the_driver_runs_on_no_other_node() -> None:
    with pytest.raises(AllocationError, match="solver-1 is to run on n1, n3, and .* the driver's node, n2"):
        needs(step("", (), ResourceRequest(hosts=("n1", "n3"))), "n2")
    with pytest.raises(AllocationError, match="login do not belong to it"):
        settle("s", needs(step("", (), ResourceRequest()), "login") or ResourceRequest(), NODES)


@pytest.mark.parametrize("ranks", ["dragon", "another"])
def test_what_has_a_plan_of_its_own_is_left_alone(ranks: str) -> None:
    assert words(ranks, "run --it", ResourceRequest(tasks=3), UNEVEN) == ("run --it solver in", {}, "")
    assert unplaced(step(ranks, ("run",), None)) == step(ranks, ("run",), None)


@pytest.mark.parametrize(
    ("ranks", "launch"),
    [
        ("srun", ("srun", "--nodefile=f")),
        ("srun", ("srun", "--relative=1")),
        ("srun", ("srun", "--jobid", "17")),
        ("mpirun", ("mpirun", "--hostfile", "f")),
        ("mpirun", ("mpirun", "-f", "f")),
        ("pals", ("mpiexec", "--hostfile", "f")),
        ("aprun", ("aprun", "-l", "f")),
    ],
)
def test_a_step_whose_nodes_only_its_run_command_knows_has_no_lease(ranks: str, launch: tuple[str, ...]) -> None:
    assert needs(step(ranks, launch, ResourceRequest(tasks=2)), "n1") is None
    assert needs(step(ranks, launch[:1], ResourceRequest(tasks=2)), "n1") is not None
    assert needs(step(ranks, launch[:1], None), "n1") is None


def test_hosts_that_are_named_are_all_used() -> None:
    for tasks, nodes in ((0, 2), (4, 2), (1, 1)):
        request = needs(step("pals", ("mpiexec",), ResourceRequest(tasks=tasks, hosts=("n3", "n2"))), "n1")
        assert request is not None
        assert request.nodes == nodes


def test_options_are_found_in_all_their_forms() -> None:
    assert has(("srun", "--nodes=2"), "--nodes")
    assert has(("srun", "-N", "2"), "--nodes", "-N")
    assert not has(("srun", "--nodes-of-another"), "--nodes")


@given(st.lists(st.sampled_from(["--a", "--b=1", "--c", "value", "-env", "NAME"])))
def test_only_the_options_named_are_taken_out(words: list[str]) -> None:
    assert without(words, ()) == tuple(words)
    left = without(["before", *words, "--a", "value", "--a=value", "-env", "X", "1", "last"], [("--a",), ("-env", "X")])
    assert "--a" not in left[:-1]
    assert left[0] == "before"
    assert left[-1] == "last"
