"""Prepared queries: written in the ORM, compiled to SQL once, checked before the server starts."""

from database.prepared.checking import misfits
from database.prepared.compiling import Compiled, CompileError
from database.prepared.declaring import Prepared, Shape, Slice, declared, prepared

__all__ = [
    "CompileError",
    "Compiled",
    "Prepared",
    "Shape",
    "Slice",
    "declared",
    "misfits",
    "prepared",
]
