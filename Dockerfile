# One image for every part of a team's installation: Airflow's parts, MLflow and the prediction server.
FROM python:3.11-slim

RUN useradd --create-home --uid 50000 windsock && install -d -m 0700 -o windsock /windsock
WORKDIR /opt/windsock

COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY plugins plugins
RUN pip install --no-cache-dir -c constraints.txt '.[postgres,alerts]' && rm -rf plugins
COPY --chown=windsock dags dags
COPY --chown=windsock include include

ENV AIRFLOW_HOME=/windsock/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/windsock/dags \
    WINDSOCK_HOME=/windsock/home \
    WINDSOCK_MODELS_DIR=/opt/windsock/include/models \
    WINDSOCK_SOURCE_ROOTS=/opt/windsock \
    PYTHONUNBUFFERED=1
USER windsock
VOLUME /windsock
