"""From a specification to a module: library models, user code, private copies."""
