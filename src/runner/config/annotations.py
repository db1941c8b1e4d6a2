"""Whether a plain value of a config fits a type annotation."""

import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin


def fits(value: object, annotation: Any) -> bool:
    """Return whether `value` fits; types that are not plain (a Path, a class) accept anything."""
    if annotation is None or annotation is type(None):
        return value is None
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return any(fits(value, member) for member in get_args(annotation))
    if origin is Literal:
        return value in get_args(annotation)
    if annotation is bool:
        return isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is str:
        return isinstance(value, str)
    if annotation is list or origin is list:
        return _fits_list(value, get_args(annotation))
    if annotation is dict or origin is dict:
        return isinstance(value, Mapping)
    return getattr(annotation, "__name__", "") != "Tensor"  # no config value is one


def name_of(annotation: Any) -> str:
    """Return the annotation in words, such as "int or null"."""
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(name_of(member) for member in get_args(annotation))
    if annotation is None or annotation is type(None):
        return "null"
    if get_origin(annotation) is Literal:
        return " or ".join(repr(choice) for choice in get_args(annotation))
    if get_origin(annotation) is not None:
        return str(annotation)
    return getattr(annotation, "__name__", str(annotation))


def _fits_list(value: object, items: tuple[Any, ...]) -> bool:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return False
    return not items or all(fits(item, items[0]) for item in value)
