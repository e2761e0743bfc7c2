"""The API's routes as plain data, standard library only.

The infrastructure declares a gateway route for each of these and the handler dispatches on the same table, so that
neither can know a route which the other does not.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Route:
    """One operation of the API.

    Attributes:
        method: The HTTP method, upper case.
        path: The path template in API Gateway's spelling, for example ``/api/products/{id}``.
        handler: The name of the operation; `app.api.Application` has a method of that name.
        public: Whether the route is reachable without a token.
    """

    method: str
    path: str
    handler: str
    public: bool

    @property
    def key(self) -> str:
        """The route key as API Gateway spells it: ``GET /health``."""
        return f"{self.method} {self.path}"

    def match(self, path: str) -> dict[str, str] | None:
        """The path's parameters, or None where the path is not this route's.

        Args:
            path: The request's path, percent-decoded, without stage and query.
        """
        expected, given = self.path.split("/"), path.split("/")
        if len(expected) != len(given):
            return None
        parameters: dict[str, str] = {}
        for template, value in zip(expected, given, strict=True):
            if template.startswith("{"):
                if not value:
                    return None
                parameters[template[1:-1]] = value
            elif template != value:
                return None
        return parameters


ROUTES: tuple[Route, ...] = (
    Route(method="POST", path="/health", handler="health", public=True),
    Route(method="GET", path="/health", handler="health", public=True),
    Route(method="GET", path="/api/products", handler="list_products", public=True),
    Route(method="GET", path="/api/products/{id}", handler="get_product", public=True),
)
