"""The model behind MLServer: its own pandas codec, one call of ``predict_proba``, in the server's process."""

from __future__ import annotations

import os

import joblib
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, PandasCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Bench(MLModel):
    """A runtime of its own, as MLServer's documentation writes them."""

    async def load(self) -> bool:
        """Load the exported pipeline."""
        self.pipeline = joblib.load(os.environ["BENCH_EXPORT"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer rows."""
        frame = PandasCodec.decode_request(payload)
        scores = self.pipeline.predict_proba(frame)[:, 1]
        return InferenceResponse(
            id=payload.id, model_name=self.name, outputs=[NumpyCodec.encode_output("score", scores)]
        )
