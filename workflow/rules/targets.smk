# Names to ask for.


rule report:
    input:
        FIGURES.values(),
        [str(comparison_path(scale)) for scale, _, _ in TO_COMPARE.values()],
        "repro/report.py",
        "repro/report.html.jinja",
    output:
        "report.html",
    log:
        "logs/report.log",
    conda:
        ENVIRONMENT
    threads: 1
    params:
        sources=machine.sources_digest("repro.report"),
    shell:
        f"{PYTHON} report"


for paper, sections in RUN.papers.items():

    rule:
        name:
            paper
        input:
            [FIGURES[RUN.name, section.name] for section in sections.values()],

    for section in sections.values():

        rule:
            name:
                identifier(section)
            input:
                FIGURES[RUN.name, section.name],
