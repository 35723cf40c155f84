"""The OpenAPI 3.1 description of the control API, made from the table of controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rtstyle import __version__
from rtstyle.live.controls.table import LONGEST, Control, Kind

TAKEN = {"204": {"description": "Taken; it shows with the next frame."}}
REFUSED = {
    "400": {
        "description": "Nothing of it was taken.",
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": {"error": {"type": "string"}}}
            }
        },
    }
}


def schema_of(control: Control) -> dict[str, Any]:
    """Return the JSON schema of what a control takes."""
    step = {"type": "string", "pattern": r"^[+-](\d+(\.\d*)?|\.\d+)$"}
    forms: dict[Kind, dict[str, Any]] = {
        Kind.SWITCH: {"type": "boolean"},
        Kind.ACTION: {"type": "boolean"},
        Kind.NUMBER: {"type": "number", "minimum": control.low, "maximum": control.high},
        Kind.CHOICE: {"enum": list(control.choices)},
        Kind.TEXT: {"type": ["string", "integer"], "minLength": 1, "maxLength": LONGEST},
    }
    others = {Kind.SWITCH: {"const": "toggle"}, Kind.NUMBER: step, Kind.CHOICE: step}
    plain, other = forms[control.kind], others.get(control.kind)
    schema = {"anyOf": [plain, other]} if other else plain
    return {"description": control.does, **schema}


def describe(controls: Sequence[Control]) -> dict[str, Any]:
    """Return the whole document."""
    values = {control.name: schema_of(control) for control in controls}
    state = {"type": "object", "properties": values, "additionalProperties": False}
    paths: dict[str, Any] = {
        "/api/controls": {"get": _operation("List the controls and their values.")},
        "/api/state": {
            "get": _operation("Read all values and figures."),
            "patch": _operation("Change several controls; all of them or none.", state),
        },
        "/api/bindings": {"get": _operation("Read what keys, MIDI and OSC are bound to.")},
        "/api/learn": {
            "put": _operation(
                "Bind what is touched next to these words; null: nothing.",
                {"type": ["string", "null"]},
            )
        },
        "/api/live": {
            "get": _operation(
                "A WebSocket: values and figures as they change; takes what PATCH takes."
            )
        },
    }
    for control in controls:
        name, schema = control.name, values[control.name]
        paths[f"/api/controls/{name}"] = {
            "get": _operation(f"Read {name}."),
            "put": _operation(control.does, schema),
        }
        if control.kind is Kind.ACTION:
            paths[f"/api/do/{name}"] = {"post": _operation(control.does, taken=True)}
        else:
            path = {"name": "value", "in": "path", "required": True, "schema": {"type": "string"}}
            paths[f"/api/do/{name}/{{value}}"] = {
                "post": _operation(control.does, taken=True) | {"parameters": [path]}
            }
    return {
        "openapi": "3.1.0",
        "info": {"title": "rtstyle", "version": __version__},
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"State": state},
        },
        "security": [{}, {"token": []}],
    }


def _operation(
    does: str, body: dict[str, Any] | None = None, *, taken: bool = False
) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": does}
    if body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body}},
        }
    if body is not None or taken:
        operation["responses"] = {**TAKEN, **REFUSED}
    else:
        operation["responses"] = {"200": {"description": "JSON."}}
    return operation
