from __future__ import annotations

import io

import pandas as pd
import pytest

from support.builders import make_spec
from support.make_churn_sample import COLUMNS, make_sample
from windsock.records import held_out_mask


@pytest.fixture(scope="module")
def sample() -> pd.DataFrame:
    return pd.read_csv(io.StringIO(make_sample()))


def test_the_bundled_file_is_what_the_generator_writes(project):
    file = project / "include" / "data" / "churn_sample.csv"
    assert file.read_text(encoding="utf-8") == make_sample()
    assert file.stat().st_size < 400_000


def test_its_shape(sample):
    assert tuple(sample.columns) == COLUMNS
    assert len(sample) == 4000
    assert sample["customer_id"].is_unique
    assert int(sample["total_charges"].isna().sum()) == 11
    assert (sample["total_charges"].isna() == (sample["tenure_months"] == 0)).all()
    assert sample.drop(columns="total_charges").notna().all(axis=None)
    assert 0.2 < (sample["churned"] == "Yes").mean() < 0.4


def test_gender_tells_nothing(sample):
    from scipy.stats import chi2_contingency

    assert chi2_contingency(pd.crosstab(sample["gender"], sample["churned"])).pvalue > 0.1


@pytest.mark.slow
def test_a_plain_model_finds_what_is_there_to_find(sample):
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    held_out = held_out_mask(sample, make_spec())
    label = sample["churned"] == "Yes"
    features = sample.drop(columns=["customer_id", "signed_up", "churned", "gender"]).fillna(
        {"total_charges": 0}
    )
    texts = features.select_dtypes(exclude="number").columns
    encode = make_column_transformer((OneHotEncoder(), texts), remainder=StandardScaler())
    model = make_pipeline(encode, LogisticRegression(max_iter=1000)).fit(
        features[~held_out], label[~held_out]
    )
    assert 0.80 <= roc_auc_score(label[held_out], model.predict_proba(features[held_out])[:, 1]) <= 0.88
