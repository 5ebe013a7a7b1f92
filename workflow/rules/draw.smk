# Figures and comparisons, from recorded results, for every scale that has any.

DRAWN = {}  # scale -> section name -> figure
COMPARED = {}  # scale -> comparison.csv


def drawing_rules(scale, sections, trained):
    DRAWN[scale.name] = {section.name: str(figure_path(scale, section)) for section in sections}
    for section in sections:

        rule:
            name: f"draw_{scale.name}_{identifier(section)}"
            input:
                sources(section),
                trained(section),
            output:
                png=figure_path(scale, section),
                csv=figure_path(scale, section).with_suffix(".csv"),
                txt=figure_path(scale, section).with_suffix(".txt"),
            params:
                name=section.name,
                config=str(scale.path),
            threads: 1
            shell:
                PYTHON + " draw {params.name} --config {params.config}"


    COMPARED[scale.name] = str(comparison_path(scale))

    rule:
        name: f"compare_{scale.name}"
        input:
            [trained(section) for section in sections],
            [DRAWN[scale.name][section.name] for section in sections],
            sorted(str(path) for path in Path("repro/published").glob("*.csv")),
            machine.sources_of("repro.comparison"),
            {str(path) for section in sections for path in sources(section)},
        output:
            comparison_path(scale),
        params:
            config=str(scale.path),
        threads: 1
        shell:
            PYTHON + " compare --config {params.config}"


drawing_rules(RUN, RUN.sections(), lambda section: TRAINED[section.name])
for other in OTHERS:
    if recorded(other):
        drawing_rules(other, recorded(other), lambda section, scale=other: [str(runs_csv(scale, section))])
