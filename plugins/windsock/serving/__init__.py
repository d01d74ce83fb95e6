"""Serving: the HTTP app that answers predictions. It needs neither Airflow nor MLflow."""
