"""Prepared queries: written in the ORM, compiled to SQL once, checked before the server starts."""

from database.prepared.calls import Call, together
from database.prepared.checking import mismatches, queries_of, queries_of_other_engines
from database.prepared.compiling import Compiled, CompileError
from database.prepared.declaring import Prepared, Shape, declared_queries, prepared
from database.prepared.slicing import Slice, sliced

__all__ = [
    "Call",
    "CompileError",
    "Compiled",
    "Prepared",
    "Shape",
    "Slice",
    "declared_queries",
    "mismatches",
    "prepared",
    "queries_of",
    "queries_of_other_engines",
    "sliced",
    "together",
]
