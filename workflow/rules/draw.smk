# Figures and comparisons, from recorded results, for every scale that has any.

# (scale, section, files that must be complete first)
TO_DRAW = [(RUN, section, TRAINED[section.name]) for section in RUN.sections()]
for other in OTHERS:
    TO_DRAW += [
        (other, section, [str(runs_csv(other, section))]) for section in recorded(other)
    ]
FIGURES = {
    (scale.name, section.name): str(figure_path(scale, section))
    for scale, section, _ in TO_DRAW
}

# At scale quick the program that runs an experiment draws it too (train.smk). What is only redrawn is drawn by one
# program a paper: starting it takes longer than drawing a figure.
# (scale, name) -> (the scale, what is drawn, files that must be complete first)
DRAWINGS = {}
for scale, section, complete in TO_DRAW:
    if scale.name != "quick":
        name = identifier(section) if scale is RUN else section.paper
        _, sections, files = DRAWINGS.setdefault((scale.name, name), (scale, [], []))
        sections.append(section)
        files += complete

for (_, name), (scale, sections, complete) in DRAWINGS.items():

    rule:
        name:
            f"draw_{scale.name}_{name}"
        input:
            sorted(map(source, sections)),
            complete,
        output:
            [
                # Left in place while it is redrawn: a picture that looks alike stays (repro.plots.save).
                update(str(figure_path(scale, section).with_suffix(kind)))
                for section in sections
                for kind in FIGURE_FILES
            ],
        log:
            f"logs/{scale.name}/draw_{name}.log",
        conda:
            ENVIRONMENT
        threads: 1
        params:
            names=[section.name for section in sections],
            config=str(scale.path),
            settings=settings(sections),
            sources=sources(sections),
        shell:
            f"{PYTHON} draw {{params.names}} --config {{params.config}}"


# name of a scale -> (the scale, what must be complete first, whose change makes the comparison out of date)
TO_COMPARE = {}
for scale, section, complete in TO_DRAW:
    _, files, sections = TO_COMPARE.setdefault(scale.name, (scale, [], []))
    # The figures are waited for because drawing puts finished runs on record too.
    files += [*complete, FIGURES[scale.name, section.name]]
    sections.append(section)

for scale, files, sections in TO_COMPARE.values():

    rule:
        name:
            f"compare_{scale.name}"
        input:
            files,
            "repro/comparison.py",
            sorted(
                str(path)
                for folder in ("repro/published", "simulation/published")
                for path in Path(folder).glob("*.csv")
            ),
        output:
            comparison_path(scale),
        log:
            f"logs/{scale.name}/compare.log",
        conda:
            ENVIRONMENT
        threads: 1
        params:
            config=str(scale.path),
            settings=settings(sections),
            sources=[sources(sections), machine.sources_digest("repro.comparison")],
        shell:
            f"{PYTHON} compare --config {{params.config}}"
