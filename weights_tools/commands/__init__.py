"""The `weights-tools` commands, one a module. None imports Keras before it is called."""
