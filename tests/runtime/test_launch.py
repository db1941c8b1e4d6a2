from runner.runtime.launch import Launch, launch_of

TORCHRUN = {
    "RANK": "3",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "node01",
    "MASTER_PORT": "29501",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
    "TORCHELASTIC_RESTART_COUNT": "0",
}
SBATCH = {  # the batch script itself, on the first node
    "SLURM_JOB_ID": "4021337",
    "SLURM_NTASKS": "4",
    "SLURM_NNODES": "2",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_JOB_NODELIST": "gpu[03-04]",
}
SRUN = {
    **SBATCH,
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NODELIST": "gpu[03-04]",
}


def test_torchrun_is_recognised_and_hosts_the_store() -> None:
    assert launch_of(TORCHRUN) == Launch(
        rank=3, count=4, local_rank=1, host="node01", port=29501, hosts_store=False
    )


def test_ranks_that_nobody_hosts_a_store_for_host_it_themselves() -> None:
    plain = {key: value for key, value in TORCHRUN.items() if "ELASTIC" not in key}
    launch = launch_of(plain)
    assert launch is not None and launch.hosts_store


def test_tasks_of_srun_are_ranks() -> None:
    launch = launch_of(SRUN)
    assert launch is not None
    assert (launch.rank, launch.count, launch.local_rank) == (3, 4, 1)
    assert (launch.host, launch.hosts_store) == ("gpu03", True)
    others = launch_of({**SRUN, "SLURM_PROCID": "0", "SLURM_LOCALID": "0"})
    assert others is not None and others.port == launch.port


def test_steps_of_one_slurm_job_meet_at_ports_of_their_own() -> None:
    launches = [launch_of({**SRUN, "SLURM_STEP_ID": step}) for step in ("0", "1", "2")]
    ports = {launch.port for launch in launches if launch is not None}
    assert len(ports) == 3
    next_job = launch_of({**SRUN, "SLURM_JOB_ID": "4021338"})
    assert next_job is not None and next_job.port not in ports
    assert all(20_000 <= port < 32_000 for port in ports)
    again = launch_of({**SRUN, "SLURM_RESTART_COUNT": "1"})
    assert again is not None and again.port not in ports


def test_a_task_that_sees_its_own_gpu_alone_takes_the_first() -> None:
    launch = launch_of({**SRUN, "SLURM_GPUS_PER_TASK": "1"})
    assert launch is not None and launch.local_rank == 0


def test_a_batch_script_is_one_process_and_so_is_everything_else() -> None:
    assert launch_of(SBATCH) is None
    assert launch_of({}) is None
    assert launch_of({"RANK": "0", "WORLD_SIZE": "1"}) is None
    assert launch_of({**SRUN, "SLURM_STEP_NUM_TASKS": "1"}) is None


def test_the_first_of_the_nodes_is_where_the_ranks_meet() -> None:
    for nodes, first in {
        "login": "login",
        "a-1,b-2": "a-1",
        "node[009-012,020]": "node009",
        "rack1-n[7,9],other": "rack1-n7",
    }.items():
        launch = launch_of({**SRUN, "SLURM_STEP_NODELIST": nodes})
        assert launch is not None and launch.host == first
