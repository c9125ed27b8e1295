"""The security of an OPC UA device: what does not go together, and the X.509 user's files beside the site file.

security: {user_certificate: operator.der, user_key: operator.pem}
"""

from __future__ import annotations

from pathlib import Path

from edge.config.models import DeviceModel
from edge.config.problems import Problems
from edge.config.validate import Placed
from edge.errors import Text


def user_files(placed: Placed[DeviceModel], problems: Problems) -> tuple[str | None, str | None]:
    """Whole paths of certificate and key, None where there is none. What cannot be is noted in `problems`."""
    model = placed.value.security
    if (model.policy, model.mode).count("None") == 1 and None not in (model.policy, model.mode):
        zh, en = "policy 与 mode 要么都是 None，要么都不是", "policy and mode: both None, or neither"
        placed.add(problems, ("security", "mode"), Text(zh, en))
    if model.user_certificate is not None and model.user is not None:
        zh, en = "user 与 user_certificate 只能二选一", "either user or user_certificate: a session has one user"
        placed.add(problems, ("security", "user_certificate"), Text(zh, en))
    if model.user_certificate is None and model.user_key is not None:
        zh, en = "有 user_key 而没有 user_certificate：两者成对", "a user_key without its user_certificate"
        placed.add(problems, ("security", "user_key"), Text(zh, en))
    if model.policy is None and model.mode == "None":
        zh = 'mode: None 之外还须明写 policy: "None"'
        placed.add(problems, ("security", "mode"), Text(zh, 'mode: None wants policy: "None" beside it'))
    if model.policy == "None" and (model.fingerprint is not None or model.tolerate):
        zh = "不加密的连接没有服务器证书：fingerprint 和 tolerate 无从谈起"
        en = "an unsecured connection has no server certificate to look at: drop fingerprint and tolerate, or the None"
        placed.add(problems, ("security", "fingerprint" if model.fingerprint else "tolerate"), Text(zh, en))
    folder = Path(placed.document.file).parent
    paths: list[str | None] = []
    for key in ("user_certificate", "user_key"):
        said = getattr(model, key)
        paths.append(None if said is None else str(folder / said))
        if said is not None and not (folder / said).is_file():
            text = Text(f"没有文件 {folder / said}", f"there is no file {folder / said}")
            placed.add(problems, ("security", key), text)
    return paths[0], paths[1]
