"""Protocols that other people's clients speak: MLflow's scoring protocol, the Open Inference Protocol."""
