#!/usr/bin/env python3
"""The catalogue's proof: each rule that is detected has a script scripts/rule-NAME.txt with at least
one conversation that shows it and one close neighbour that does not; schema/RULES.md lists them.
`rules.py --update` writes that page anew."""
import os
import re

import common

DEF = os.path.join(common.ROOT, "schema", "rules.def")
PAGE = os.path.join(common.ROOT, "schema", "RULES.md")
SCRIPTS = os.path.join(common.ROOT, "tests", "scripts")
tally = common.Tally("rules")


def catalogue():
    with open(DEF, encoding="utf-8") as file:
        text = file.read()
    section = ""
    token = re.compile(r'/\* ([A-L]\. .*?) \*/|^(RULE(?:_LATER)?)\((.*?")\)\n', re.M | re.S)
    for m in token.finditer(text):
        if m.group(1):
            section = m.group(1)
            continue
        body = re.sub(r'"\s*\n\s*"', "", m.group(3))
        words = re.findall(r'"((?:[^"\\]|\\.)*)"', body)
        name, level, severity, source, summary = [w.replace('\\"', '"') for w in words]
        yield section, name, level, severity, source, summary, m.group(2) == "RULE"


def expectation(name):
    """(shown, spared): flows of the script with and without the finding."""
    path = os.path.join(SCRIPTS, "rule-%s.txt" % name)
    if not os.path.exists(path):
        return 0, 0
    with open(path, encoding="utf-8") as file:
        script, _, said = file.read().partition("\n---\n")
    flows = len(re.findall(r"^flow\b", script, re.M))
    finding = re.compile(r"^  finding %s " % re.escape(name), re.M)
    blocks = re.split(r"^(?=\S)", said, flags=re.M)
    shown = sum(1 for b in blocks if b.startswith("session") and finding.search(b))
    outside = sum(len(finding.findall(b)) for b in blocks if b.startswith("outside"))
    return shown + outside, flows - min(shown if shown else outside, flows)


page = ["# The rules and their tests", "",
        "Made by `tests/rules.py --update` from `rules.def` and `tests/scripts/`. Level: M a MUST of the",
        "source, S a SHOULD, X security literature, O operational observation. A test is a script whose",
        "conversations show the rule and, beside it, close neighbours that do not."]
last = None
rules = list(catalogue())
tally.check("the catalogue is read whole", len(rules) == 178, str(len(rules)))
for section, name, level, severity, source, summary, detected in rules:
    if section != last:
        page += ["", "## " + section, "", "| rule | level | severity | source | what proves it | test |",
                 "| --- | --- | --- | --- | --- | --- |"]
        last = section
    shown, spared = expectation(name)
    test = "not detected yet"
    if detected:
        test = "[script](../tests/scripts/rule-%s.txt)" % name
        tally.check("%s: a conversation shows it" % name, shown > 0)
        tally.check("%s: a neighbour does not" % name, spared > 0 or shown == 0)
    page.append("| %s | %s | %s | %s | %s | %s |" % (
        name, level, severity, source.replace("|", "\\|"), summary.replace("|", "\\|"), test))
text = "\n".join(page) + "\n"
if common.UPDATE:
    with open(PAGE, "w", encoding="utf-8") as out:
        out.write(text)
with open(PAGE, encoding="utf-8") as file:
    tally.equal("schema/RULES.md is up to date", file.read(), text)
tally.end()
