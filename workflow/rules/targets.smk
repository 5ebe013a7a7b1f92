# Names to ask for.


rule report:
    input:
        [figure for figures in DRAWN.values() for figure in figures.values()],
        list(COMPARED.values()),
        machine.sources_of("repro.report"),
    output:
        "report.html",
    threads: 1
    shell:
        PYTHON + " report"


for paper, sections in RUN.papers.items():

    rule:
        name: paper
        input:
            [DRAWN[RUN.name][section.name] for section in sections.values()],

    for section in sections.values():

        rule:
            name: identifier(section)
            input:
                DRAWN[RUN.name][section.name],
