"""The `weights-tools` commands, one per module. Keras is imported only when one is called."""
