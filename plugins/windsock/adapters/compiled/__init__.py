"""The compiled form of fitted pipelines: tables instead of transformers, and a bare estimator."""

from __future__ import annotations

from windsock.adapters.compiled.compiler import PipelineCompiler

__all__ = ["PipelineCompiler"]
