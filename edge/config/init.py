"""`seamline init`: annotated samples to start from: site files, the systemd unit, the dashboards. Never overwrites."""

from __future__ import annotations

from pathlib import Path

from edge.config.templates import config_folder
from edge.errors import ConfigError, Problem, Text

SAMPLES = ("site.yaml", "site.en.yaml", "seamline.service")
DASHBOARDS = "dashboards"


def write_samples(folder: Path) -> list[Path]:
    """Write the samples into `folder`, made if it is not there. Raises ConfigError rather than overwrite."""
    sources = {folder / name: config_folder() / name for name in SAMPLES}
    root = config_folder().parent / DASHBOARDS
    files = sorted(path for path in root.rglob("*") if path.is_file())
    sources |= {folder / DASHBOARDS / path.relative_to(root): path for path in files}
    taken = [target for target in sources if target.exists()]
    if taken:
        hint = Text("换一个文件夹，或先移走它", "choose another folder, or move it away first")
        what = Text("文件已存在，不覆盖", "the file exists and is not overwritten")
        raise ConfigError([Problem(str(target), 0, ".", what, hint) for target in taken])
    try:
        for target, source in sources.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("x", encoding="utf-8") as stream:
                stream.write(source.read_text(encoding="utf-8"))
    except OSError as error:
        what = Text(f"写不了样例：{error.strerror}", f"cannot write the samples: {error.strerror}")
        raise ConfigError([Problem(str(folder), 0, ".", what)]) from error
    return list(sources)
