"""Compiled programs kept for the next run, in a folder of the user's."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import jax

from ncjax.io import cache_folder


def keep_compiled_programs() -> None:
    """Turns JAX's persistent compilation cache on, however short a compilation is.

    Call it before anything is compiled.  What JAX was told goes first:
    JAX_COMPILATION_CACHE_DIR, JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS, and
    JAX_ENABLE_COMPILATION_CACHE=false, which switches the cache off.
    """
    settings: Any = jax.config  # its fields are not declared
    if not settings.jax_enable_compilation_cache:
        return
    if settings.jax_compilation_cache_dir is None:
        folder = default_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            print(
                f"Compiled programs are not kept for the next run: {error}. Set "
                "JAX_COMPILATION_CACHE_DIR to a folder that can be written.",
                file=sys.stderr,
            )
            return
        settings.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        settings.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def default_folder() -> Path:
    """$XDG_CACHE_HOME/ncjax/programs, by default in ~/.cache."""
    return cache_folder("programs")
