"""Makes protobuf.txt.gz: which protobuf field is which JSON field, of every message that this server reads or writes.

    python3 protobuf.py kubernetes/staging/src/k8s.io > /tmp/protobuf.txt && gzip -9n < /tmp/protobuf.txt > protobuf.txt.gz

Reads upstream's published `generated.proto` (the messages) and the tags of `types.go` beside them (how Go writes the same fields as JSON).
Only facts are taken: names, numbers and types. The form is told in `src/wire/table.rs`.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1])
# Group and version of each directory. The core group is the empty name.
PLACES = {
    "api/admission/v1": "admission.k8s.io/v1",
    "api/admissionregistration/v1": "admissionregistration.k8s.io/v1",
    "api/apidiscovery/v2": "apidiscovery.k8s.io/v2",
    "api/apps/v1": "apps/v1",
    "api/authentication/v1": "authentication.k8s.io/v1",
    "api/authorization/v1": "authorization.k8s.io/v1",
    "api/autoscaling/v1": "autoscaling/v1",
    "api/autoscaling/v2": "autoscaling/v2",
    "api/batch/v1": "batch/v1",
    "api/certificates/v1": "certificates.k8s.io/v1",
    "api/coordination/v1": "coordination.k8s.io/v1",
    "api/core/v1": "v1",
    "api/discovery/v1": "discovery.k8s.io/v1",
    "api/events/v1": "events.k8s.io/v1",
    "api/flowcontrol/v1": "flowcontrol.apiserver.k8s.io/v1",
    "api/networking/v1": "networking.k8s.io/v1",
    "api/node/v1": "node.k8s.io/v1",
    "api/policy/v1": "policy/v1",
    "api/rbac/v1": "rbac.authorization.k8s.io/v1",
    "api/resource/v1": "resource.k8s.io/v1",
    "api/scheduling/v1": "scheduling.k8s.io/v1",
    "api/storage/v1": "storage.k8s.io/v1",
    "apiextensions-apiserver/pkg/apis/apiextensions/v1": "apiextensions.k8s.io/v1",
    "kube-aggregator/pkg/apis/apiregistration/v1": "apiregistration.k8s.io/v1",
    "metrics/pkg/apis/metrics/v1beta1": "metrics.k8s.io/v1beta1",
    "apimachinery/pkg/apis/meta/v1": "meta.k8s.io/v1",
    "apimachinery/pkg/apis/meta/v1beta1": "meta.k8s.io/v1beta1",
}
# Messages whose JSON is not that of their fields; the table's reader knows them by these names.
SPECIAL = {
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": "IntOrString",
    "k8s.io.apimachinery.pkg.api.resource.Quantity": "Quantity",
    "k8s.io.apimachinery.pkg.apis.meta.v1.Time": "Time",
    "k8s.io.apimachinery.pkg.apis.meta.v1.MicroTime": "MicroTime",
    "k8s.io.apimachinery.pkg.apis.meta.v1.Duration": "Duration",
    "k8s.io.apimachinery.pkg.apis.meta.v1.FieldsV1": "Raw",
    "k8s.io.apimachinery.pkg.runtime.RawExtension": "Raw",
    "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSON": "Raw",
    "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "SchemaOrArray",
    "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "SchemaOrBool",
    "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "SchemaOrStrings",
}
SCALARS = {"string", "bytes", "bool", "int32", "int64", "uint32", "uint64", "double"}


def package(place):
    return "k8s.io." + place.replace("/", ".").replace("-", "_")


PACKAGES = {package(place): group for place, group in PLACES.items()}


def messages(text):
    """(name, [(label, type, map's value or None, name, number)])"""
    name, fields = None, []
    for line in text.splitlines():
        line = line.split("//")[0].strip()
        if found := re.fullmatch(r"message (\w+) \{", line):
            name, fields = found[1], []
        elif line == "}" and name:
            yield name, fields
            name = None
        elif name and (found := re.fullmatch(r"map<(\w+), ([\w.]+)> (\w+) = (\d+);", line)):
            assert found[1] == "string", line
            fields.append(("map", found[2], found[3], int(found[4])))
        elif name and (found := re.fullmatch(r"(optional|repeated) ([\w.]+) (\w+) = (\d+);", line)):
            fields.append((found[1], found[2], found[3], int(found[4])))
        else:
            assert not name or not line, (name, line)


def structs(directory):
    """{struct: {number: (Go type, JSON name, options)}}"""
    found = {}
    for path in sorted(directory.glob("*.go")):
        if path.name.startswith("zz_") or path.name.endswith("_test.go") or path.name == "generated.pb.go":
            continue
        name = None
        for line in path.read_text().splitlines():
            if head := re.match(r"type (\w+) struct \{", line):
                name = head[1]
            elif line == "}":
                name = None
            elif name and (field := re.match(r"\s+(?:(\w+)\s+)?([\w.*\[\]]+)\s+`(.*)`", line)):
                tags = dict(re.findall(r'(\w+):"([^"]*)"', field[3]))
                if "protobuf" in tags and "json" in tags:
                    number = int(tags["protobuf"].split(",")[1])
                    json, *options = tags["json"].split(",")
                    found.setdefault(name, {})[number] = (field[2], json, options)
    return found


def main():
    aliases = {}
    for place, group in PLACES.items():
        directory = ROOT / place
        own, go = package(place), structs(directory)
        for name, fields in messages((directory / "generated.proto").read_text()):
            full = f"{own}.{name}"
            if full in SPECIAL or name in ("Timestamp", "Verbs", "ExtraValue") or name == "OptionalNames":
                continue
            tags = go.get(name)
            if not tags:
                # Internal forms of events and the like have no JSON of their own.
                if fields:
                    print(f"skipped {full}: no struct with tags", file=sys.stderr)
                    continue
                tags = {}
            print(f"= {group}.{name}")
            for label, kind, field, number in sorted(fields, key=lambda one: one[3]):
                if number not in tags:
                    print(f"no tag: {full}.{field}", file=sys.stderr)
                    sys.exit(1)
                gotype, json, options = tags[number]
                if kind not in SCALARS:
                    kind = kind.lstrip(".") if kind.startswith(".") else f"{own}.{kind}"
                    at, simple = kind.rsplit(".", 1)
                    if simple in ("Verbs", "ExtraValue"):
                        kind = "Strings"
                    elif kind in SPECIAL:
                        kind = SPECIAL[kind]
                    else:
                        kind = f"{PACKAGES[at]}.{simple}"
                flags = {"repeated": "*", "map": "%", "optional": ""}[label]
                if label == "optional" and gotype.startswith("*"):
                    flags += "?"
                if "inline" in options or not json:
                    assert "inline" in options, (full, field)
                    flags += "i"
                if "omitempty" in options:
                    flags += "o"
                if "omitzero" in options:
                    flags += "z"
                print(number, json or field, kind, flags or "-")


main()
