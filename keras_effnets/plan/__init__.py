"""Networks before they have values: configs, blocks from a paper's table, inputs, outputs."""
