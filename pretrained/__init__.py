"""The trained models that come with the project, a folder each; `flows.model_folder` finds them."""
