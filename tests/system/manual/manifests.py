# SPDX-License-Identifier: BSD-3-Clause
"""manifests.py FILE: checks manifests against the classes of python3-kubernetes, and that what one names is in another. Prints as
JSON what the CronJob runs: the arguments and environment of the container, and the files of the ConfigMaps by their paths.

Those classes are of Kubernetes 1.22; what is newer is in NEWER, and is not checked.
"""
import json
import re
import sys
from typing import Any

import yaml
from kubernetes import client

KINDS = {("v1", "ConfigMap"): "V1ConfigMap", ("batch/v1", "CronJob"): "V1CronJob",
         ("v1", "PersistentVolumeClaim"): "V1PersistentVolumeClaim"}
NEWER = {("V1JobSpec", "podFailurePolicy")}  # 1.26
PLAIN = {"str": str, "int": int, "bool": bool, "object": object, "datetime": str}


def check(value: Any, kind: str, where: str) -> None:
    """value is of this type of the API: no field that does not exist, none missing that is required."""
    if inner := re.fullmatch(r"list\[(.*)\]", kind):
        assert isinstance(value, list), f"{where}: must be a list"
        for number, element in enumerate(value):
            check(element, inner[1], f"{where}[{number}]")
    elif inner := re.fullmatch(r"dict\(str, (.*)\)", kind):
        assert isinstance(value, dict), f"{where}: must be a map"
        for key, element in value.items():
            assert isinstance(key, str)
            check(element, inner[1], f"{where}.{key}")
    elif kind in PLAIN:
        assert isinstance(value, PLAIN[kind]), f"{where}: must be {kind}, not {value!r}"
    else:
        _check_object(value, kind, where)


def _check_object(value: Any, kind: str, where: str) -> None:
    model = getattr(client, kind)
    assert isinstance(value, dict), f"{where}: must be a {kind}"
    names = {key: name for name, key in model.attribute_map.items()}
    known = {key: element for key, element in value.items() if (kind, key) not in NEWER}
    for key, element in known.items():
        assert key in names, f"{where}: {kind} has no {key}"
        check(element, model.openapi_types[names[key]], f"{where}.{key}")
    # The class itself refuses an object without what is required.
    model(**{names[key]: element for key, element in known.items()})


def pod_of(job: dict[str, Any], documents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    spec = job["spec"]["jobTemplate"]["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    for rule in spec["podFailurePolicy"]["rules"]:  # which needs this policy
        assert pod["restartPolicy"] == "Never"
        assert rule["action"] in ("FailJob", "Ignore", "Count")
        if "onExitCodes" in rule:
            assert rule["onExitCodes"]["containerName"] == container["name"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes.keys() == {mount["name"] for mount in container["volumeMounts"]}
    files = {}
    for mount in container["volumeMounts"]:
        volume = volumes[mount["name"]]
        if "configMap" in volume:
            for name, text in documents["ConfigMap"][volume["configMap"]["name"]]["data"].items():
                files[f"{mount['mountPath']}/{name}"] = text
        if "persistentVolumeClaim" in volume:
            assert volume["persistentVolumeClaim"]["claimName"] in documents["PersistentVolumeClaim"]
    return {"args": container["args"], "shards": spec["completions"], "files": files}


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        found = list(yaml.safe_load_all(file))
    documents: dict[str, dict[str, Any]] = {}
    for document in found:
        check(document, KINDS[document["apiVersion"], document["kind"]], document["kind"])
        documents.setdefault(document["kind"], {})[document["metadata"]["name"]] = document
    assert len({document["metadata"]["namespace"] for document in found}) == 1
    (job,) = documents["CronJob"].values()
    json.dump(pod_of(job, documents), sys.stdout)


main()
