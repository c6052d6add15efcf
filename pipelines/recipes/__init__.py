"""Values of the bundled recipes, one YAML file each."""
