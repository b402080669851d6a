"""What every group of routes uses: the plane that answers, and the shapes of what is said."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request
from pydantic import BaseModel, StringConstraints

from haechi.serve.plane import Plane

Word = Annotated[str, StringConstraints(max_length=200)]
Count = Annotated[int, Query(ge=1, le=500, description="At most so many.")]


class Refusal(BaseModel):
    """Why something is not done."""

    detail: str


def plane_of(request: Request) -> Plane:
    plane = request.app.state.plane
    assert isinstance(plane, Plane)
    return plane


ThePlane = Annotated[Plane, Depends(plane_of)]
