"""The pages: which models there are, which version serves, and how it came to.

Read-only. Rendered on the server, shown by Airflow in a frame; every route asks Airflow who is there.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from windsock.exceptions import WindsockError

TEMPLATES = Path(__file__).parent / "templates"


class LazyApp:
    """An ASGI app that is built at its first request.

    Every Airflow process loads the plugin, but only the API server answers requests: the others never pay
    for it.
    """

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if self._app is None:
            self._app = create_app()
        await self._app(scope, receive, send)


def create_app() -> Any:
    """Return the FastAPI app of the pages."""
    from fastapi import FastAPI
    from fastapi.responses import HTMLResponse

    from windsock.adapters.pages import POLICY
    from windsock.ui.guard import signed_in
    from windsock.ui.pages import model_page, models_page

    app = FastAPI(
        title="Windsock", dependencies=[signed_in()], docs_url=None, redoc_url=None, openapi_url=None
    )

    headers = {"Cache-Control": "no-store", "Content-Security-Policy": POLICY}

    def page(name: str, content: dict[str, Any]) -> HTMLResponse:
        return HTMLResponse(render(name, content), headers=headers)

    @app.get("/models", response_class=HTMLResponse)
    def models() -> HTMLResponse:
        return page("models.html", models_page())

    @app.get("/models/{name}", response_class=HTMLResponse)
    def model(name: str) -> HTMLResponse:
        return page("model.html", model_page(name))

    @app.exception_handler(WindsockError)
    def refuse(_request: Any, error: WindsockError) -> HTMLResponse:
        return HTMLResponse(render("error.html", {"error": error}), status_code=503, headers=headers)

    return app


def render(name: str, content: dict[str, Any]) -> str:
    """Return a page; every value is escaped."""
    return str(_templates().get_template(name).render(**content))


@cache
def _templates() -> Any:
    """Return the environment that keeps the compiled templates."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
