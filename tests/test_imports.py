"""What the import contracts in pyproject.toml can't say: heavy libraries only inside functions."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TORCH = {
    "keras_effnets.analysis.benchmark.contender_process",
    "keras_effnets.analysis.benchmark.timed_calls",
    "keras_effnets.analysis.seeing.gradient",
    "weights_tools.verify.libraries",
}
"""The only modules that import torch and its libraries, and inside functions."""
TENSORFLOW = {"keras_effnets.export.serving.decoding", "keras_effnets.export.serving.orientation"}
"""The only modules that import TensorFlow outside a function: they are parts of its graphs."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package in ("keras_effnets", "weights_tools"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), ast.parse(path.read_text("utf-8"))


def imports(tree: ast.AST, in_function: bool = False) -> Iterator[tuple[str, bool]]:
    """Each imported module, those of `import_module` too, and whether a function imports it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, in_function) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide which room they reach"
            yield from ((f"{node.module}.{alias.name}", in_function) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            assert isinstance(node.args[0], ast.Constant), "a computed name cannot be checked"
            yield node.args[0].value, in_function
        is_typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not is_typing:
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(node, in_function or is_function)


IMPORTS = [
    (module, target, in_function)
    for module, tree in modules()
    for target, in_function in imports(tree)
]


def test_torch_is_imported_in_few_places_and_inside_functions():
    libraries = {"torch", "torchvision", "timm", "efficientnet_pytorch"}
    found = [each for each in IMPORTS if each[1].partition(".")[0] in libraries]
    assert {module for module, _, _ in found} == TORCH
    assert [each for each in found if not each[2]] == []


def test_tensorflow_is_imported_inside_functions():
    found = [each for each in IMPORTS if each[1].partition(".")[0] == "tensorflow"]
    assert {module for module, _, in_function in found if not in_function} == TENSORFLOW


def test_no_module_imports_the_package_that_imports_it():
    names = {name for name, _ in modules()}
    found = [
        (module, target)
        for module, target, _ in IMPORTS
        if target == "keras_effnets"
        or (target.rpartition(".")[0] == "keras_effnets" and target not in names)
    ]
    assert found == []
