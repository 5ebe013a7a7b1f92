# Training, for the scale that is run.
#
# Scale quick: one job an experiment, done anew when a source or its settings changed.
# Scales paper and cluster: one job for each group of runs that have no row in runs.csv; the rows are the
# record, so neither file times nor sources make anything run again.

TRAINED = {}  # section name -> files to wait for before its results are complete


def needed_sections(section):
    """Other sections whose runs a section's runs need."""
    names = {f"{need.paper}.{need.experiment}" for run in RUN.runs(section) for _, need in run.needs}
    return [RUN.section(name) for name in sorted(names - {section.name})]


def job_groups(runs):
    """Missing runs by job: as many seeds of an arm together as the arm says."""
    groups = {}
    for run in runs:
        groups.setdefault((run.arm.name, run.seed // run.arm.seeds_per_job), []).append(run)
    return groups.values()


if RUN.name == "quick":

    for section in RUN.sections():
        TRAINED[section.name] = [str(runs_csv(RUN, section))]

        rule:
            name: f"run_{identifier(section)}"
            input:
                sources(section),
                [str(runs_csv(RUN, other)) for other in or_stop(needed_sections, section)],
            output:
                runs_csv(RUN, section),
            params:
                settings=digest_of([run.digest for run in or_stop(RUN.runs, section)]),
                name=section.name,
                config=str(RUN.path),
            threads: 1
            shell:
                PYTHON + " run {params.name} --config {params.config} --again"

else:

    PLANNED = {}  # digest -> result file, so that no two jobs make the same thing

    def plan_training(section, runs):
        for group in job_groups(runs):
            group = [run for run in group if run.digest not in PLANNED]
            needs = {need.digest: need for run in group for _, need in run.needs}
            for need in needs.values():
                if need.digest not in PLANNED and not runner.result_file(need).exists():
                    plan_training(RUN.section(f"{need.paper}.{need.experiment}"), [need])
            if group:
                train_rule(section, group, [n for n in needs.values() if not runner.result_file(n).exists()])

    def train_rule(section, group, needs):
        first = group[0]
        PLANNED.update({run.digest: runner.result_file(run) for run in group})

        rule:
            name: f"train_{identifier(section)}_{first.arm.name}_{first.seed}".replace(".", "_")
            input:
                [ancient(str(PLANNED[need.digest])) for need in needs],
            output:
                [str(PLANNED[run.digest]) for run in group],
            params:
                name=section.name,
                arm=first.arm.name,
                seeds=" ".join(str(run.seed) for run in group),
                config=str(RUN.path),
            threads: 1
            retries: 0
            resources:
                gpu=1 if RUN.device == "cuda" else 0,
                mem_mb=2000,
            shell:
                PYTHON + " run {params.name} --arm {params.arm} --seed {params.seeds} --config {params.config}"

    for section in RUN.sections():
        todo = or_stop(runner.missing, RUN, section)
        plan_training(section, [run for run in todo if not runner.result_file(run).exists()])
        TRAINED[section.name] = [str(PLANNED[run.digest]) for run in todo if run.digest in PLANNED]
        if runs_csv(RUN, section).exists():
            TRAINED[section.name].append(str(runs_csv(RUN, section)))
