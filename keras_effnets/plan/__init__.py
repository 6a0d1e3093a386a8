"""Networks before they have values: configs, the walk of a paper's table, inputs and outputs."""
