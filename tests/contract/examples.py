"""Sees that each example of the document is one of its schema.

Usage: examples.py openapi.json
"""

import json
import sys

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

with open(sys.argv[1], encoding="utf-8") as file:
    document = json.load(file)
resource = Resource(contents=document, specification=DRAFT202012)
registry = Registry().with_resource("document", resource)
seen, wrong = 0, []


def look(place, content):
    global seen
    examples = [content["example"]] if "example" in content else []
    examples += [it["value"] for it in content.get("examples", {}).values()]
    schema = json.loads(json.dumps(content["schema"]).replace('"#/', '"document#/'))
    validator = Draft202012Validator(schema, registry=registry)
    for example in examples:
        seen += 1
        wrong.extend(f"{place}: {it.json_path}: {it.message}" for it in validator.iter_errors(example))


for path, methods in document["paths"].items():
    for method, operation in methods.items():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            look(f"{method} {path}", content)
        for status, answer in operation["responses"].items():
            for content in answer.get("content", {}).values():
                look(f"{method} {path} {status}", content)
for name, answer in document["components"]["responses"].items():
    for content in answer["content"].values():
        look(name, content)
assert not wrong, "\n".join(wrong)
print(seen)
