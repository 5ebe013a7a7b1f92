"""Table of contents: which scale is run, which are redrawn, and the targets.

`snakemake` runs scale quick and redraws every other scale from its recorded results;
`snakemake --config scale=paper` runs scale paper; `snakemake <paper>`, `snakemake <paper>_<experiment>` and
`snakemake paper_figures/<scale>/<paper>/<experiment>.png` run one paper, one experiment, one figure.
"""

from repro.errors import UserError


rule all:
    input:
        "report.html",


include: "workflow/rules/plan.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/draw.smk"
include: "workflow/rules/targets.smk"
