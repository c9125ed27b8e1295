"""`seamline init`: annotated samples to start from. Never overwrites."""

from __future__ import annotations

from pathlib import Path

from edge.config.templates import config_folder
from edge.errors import ConfigError, Problem, Text

SAMPLES = ("site.yaml", "site.en.yaml")


def write_samples(folder: Path) -> list[Path]:
    """Write the sample site files into `folder`, made if it is not there. Raises ConfigError rather than overwrite."""
    targets = [folder / name for name in SAMPLES]
    taken = [target for target in targets if target.exists()]
    if taken:
        hint = Text("换一个文件夹，或先移走它", "choose another folder, or move it away first")
        what = Text("文件已存在，不覆盖", "the file exists and is not overwritten")
        raise ConfigError([Problem(str(target), 0, ".", what, hint) for target in taken])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for target in targets:
            text = (config_folder() / target.name).read_text(encoding="utf-8")
            with target.open("x", encoding="utf-8") as stream:
                stream.write(text)
    except OSError as error:
        what = Text(f"写不了样例：{error.strerror}", f"cannot write the samples: {error.strerror}")
        raise ConfigError([Problem(str(folder), 0, ".", what)]) from error
    return targets
