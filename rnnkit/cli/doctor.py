# SPDX-License-Identifier: BSD-3-Clause
"""``rnnkit doctor``: the machine, the versions, the plugins; what a report needs."""

import argparse
import importlib.metadata
import math
import os
import platform
from typing import Any

import rnnkit
from rnnkit import plugins
from rnnkit.cli.options import add_json, print_json, print_table

PACKAGES = ("numpy", "scipy", "scikit-learn", "joblib", "threadpoolctl")


def add_commands(commands: Any) -> None:
    """Add the command to a parser."""
    text = "machine, versions and plugins; ends with 1 when something is broken"
    parser = commands.add_parser("doctor", help=text, description=text + ".")
    parser.set_defaults(run=run)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """``rnnkit doctor``"""
    facts, problems = examine()
    if arguments.json:
        print_json({"facts": facts, "problems": problems})
    else:
        print_table(facts)
        for problem in problems or ["nothing is broken"]:
            print(problem)
    return int(bool(problems))


def show_versions() -> None:
    """Print what a report of a problem needs: the machine, versions, plugins.

    Examples
    --------
    >>> import rnnkit
    >>> rnnkit.show_versions()  # doctest: +SKIP
    """
    facts, problems = examine()
    print_table(facts)
    for problem in problems:
        print(problem)


def examine() -> tuple[dict[str, str], list[str]]:
    """All facts by name, and what is broken; plugins are imported in children."""
    problems = []
    facts = {"rnnkit": rnnkit.__version__} | versions()
    try:
        facts |= core_facts()
    except (ImportError, ValueError) as error:
        problems.append(f"broken: the core does not load: {error}")
    facts["denormal numbers"] = denormal_mode()
    installed = plugins.list_plugins()
    for kind in plugins.KINDS:
        names = [described(plugin) for plugin in installed if plugin.kind == kind]
        facts[f"{kind}s"] = ", ".join(names)
    for plugin in installed:
        if plugin.is_builtin:
            continue
        result = plugins.check_in_child(plugin)
        if not result.ok:
            problems.append(f"broken: {plugin}: {result.message}")
        elif plugin.problem:
            problems.append(f"hidden: {plugin}: {plugin.problem}")
    return facts, problems


def versions() -> dict[str, str]:
    """Python, the system, and the packages that rnnkit stands on; imports none."""
    facts = {
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": platform.platform(),
    }
    for name in PACKAGES:
        try:
            facts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            facts[name] = "not installed"
    return facts


def core_facts() -> dict[str, str]:
    """What the core has chosen on this machine."""
    from rnnkit import core

    cap = os.environ.get("RNNKIT_ISA")
    supported = ", ".join(core.supported_isas())
    return {
        "instruction set": f"{core.isa()} (supported: {supported})"
        + (f", capped by RNNKIT_ISA={cap}" if cap else ""),
        "threads": str(core.default_threads()),
        "OpenMP runtime": core.openmp_runtime(),
    }


def denormal_mode() -> str:
    """How this thread treats the smallest numbers; rnnkit's own threads flush them."""
    smallest = math.ldexp(1.0, -1074)
    kept = smallest * float(len("x")) != 0.0  # a product made now, not by the compiler
    if kept:
        return "kept in this process, flushed to zero inside the core"
    return "flushed to zero: some library has changed the mode of this process"


def described(plugin: plugins.Plugin) -> str:
    """A plugin's name, with its package where it is not built in."""
    if plugin.is_builtin:
        return plugin.name
    package = " ".join(filter(None, (plugin.distribution, plugin.version)))
    return f"{plugin.name} ({package})"
