"""Path grammar and readers of public on-disk layouts, which `pipelines` and `eval` both need."""
