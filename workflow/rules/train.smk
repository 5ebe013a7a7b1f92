# Training, for the scale that is run.
#
# Scale quick: one job an experiment, its figure included, done anew when a source or its settings changed; rows name
# the sources that made them.
# Scales paper and cluster: one job for each group of runs that have no row in runs.csv; the rows are the
# record, so neither file times nor sources make anything run again. What those runs need and the cache has lost is
# restored by jobs of its own, whether or not it is on record.

# A job's `threads` are its processes; Snakemake would let each of them compute with that many threads.
RUN_IT = f"OMP_NUM_THREADS=1 {PYTHON} run {{params.name}}"

RUNS = {section.name: or_stop(RUN.runs, section) for section in RUN.sections()}
TRAINED = {}  # section name -> files to wait for before its results are complete
JOBS = (
    []
)  # (section, its missing runs that one job does, result files of runs they need), scales paper and cluster
MADE = {}  # digest of a run -> the result file some job makes


def needed_sections(section):
    """Other sections whose runs a section's runs need."""
    names = {
        f"{need.paper}.{need.experiment}"
        for run in RUNS[section.name]
        for _, need in run.needs
    }
    return [RUN.section(name) for name in sorted(names - {section.name})]


def out_of_date(section):
    """Whether there are results of scale quick that lack runs, or have some that were made by other sources than
    today's; rows of an arm that is no longer asked for would stay as they are."""
    found = or_stop(results.load, runs_csv(RUN, section).parent)
    return found is not None and bool(
        runner.missing(RUN, section) or runner.aged(found, RUNS[section.name])
    )


def missing_in_cache(runs):
    """Runs, each once, that no job makes yet and whose results are not in the cache."""
    once = {run.digest: run for run in runs}
    return [
        run
        for digest, run in once.items()
        if digest not in MADE and not runner.result_file(run).exists()
    ]


def plan_jobs(section, runs):
    """Jobs for these runs and before them for what they need; an arm says how many seeds go into a job."""
    groups = {}
    for run in missing_in_cache(runs):
        groups.setdefault((run.arm.name, run.seed // run.arm.seeds_per_job), []).append(
            run
        )
    for group in groups.values():
        needs = [need for run in group for _, need in run.needs]
        for need in missing_in_cache(needs):
            plan_jobs(RUN.section(f"{need.paper}.{need.experiment}"), [need])
        group = missing_in_cache(group)
        if group:
            MADE.update({run.digest: str(runner.result_file(run)) for run in group})
            JOBS.append(
                (
                    section,
                    group,
                    sorted(
                        {MADE[need.digest] for need in needs if need.digest in MADE}
                    ),
                )
            )


if RUN.name != "quick":
    for section in RUN.sections():
        todo = or_stop(runner.missing, RUN, section)
        plan_jobs(section, todo)
        TRAINED[section.name] = [MADE[run.digest] for run in todo if run.digest in MADE]
        if todo and figure_path(RUN, section).exists():
            # Snakemake makes a missing file only for a job that has to run anyway: the drawing has to.
            os.utime(figure_path(RUN, section), (1, 1))
        if runs_csv(RUN, section).exists():
            TRAINED[section.name].append(str(runs_csv(RUN, section)))


for section in RUN.sections() if RUN.name == "quick" else []:
    TRAINED[section.name] = [str(runs_csv(RUN, section))]
    if out_of_date(section):
        # Made older than its source, so that it is done anew even if it was made by hand: Snakemake then has no record
        # of the parameters it was made with.
        os.utime(runs_csv(RUN, section), (1, 1))  # 0 would count as no time at all

    rule:
        name:
            f"run_{identifier(section)}"
        input:
            source(section),
            [str(runs_csv(RUN, other)) for other in needed_sections(section)],
        output:
            runs_csv(RUN, section),
            [figure_path(RUN, section).with_suffix(kind) for kind in FIGURE_FILES],
        log:
            f"logs/quick/{identifier(section)}.log",
        conda:
            ENVIRONMENT
        threads: max(run.arm.processes for run in RUNS[section.name])
        params:
            settings=[
                settings([section]),
                digest_of([run.digest for run in RUNS[section.name]]),
            ],
            sources=sources([section]),
            name=section.name,
            config=str(RUN.path),
        shell:
            f"{RUN_IT} --config {{params.config}} --again --draw"


for section, group, needed in JOBS:

    job = f"{identifier(section)}_{group[0].arm.name}_{group[0].seed}".replace(".", "_")

    rule:
        name:
            f"train_{job}"
        input:
            [ancient(path) for path in needed],
        output:
            [MADE[run.digest] for run in group],
        log:
            f"logs/{RUN.name}/{job}.log",
        conda:
            ENVIRONMENT
        threads: group[0].arm.processes + group[0].arm.helpers
        resources:
            **({"runtime": group[0].arm.minutes} if group[0].arm.minutes else {}),
            gpu=1 if (group[0].arm.device or RUN.device) == "cuda" else 0,
            cpus_per_task=group[0].arm.processes + group[0].arm.helpers,
            mem_mb=group[0].arm.memory_mb or 2000 * group[0].arm.processes,
        params:
            name=section.name,
            arm=group[0].arm.name,
            seeds=" ".join(str(run.seed) for run in group),
            config=str(RUN.path),
        shell:
            f"{RUN_IT} --arm {{params.arm}} --seed {{params.seeds}} --config {{params.config}} --restore"
