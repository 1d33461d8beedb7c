#!/usr/bin/env python3
"""Sums up what `llvm-cov export -summary-only` says, by folder, and the files that are reached least."""
import json
import os
import sys

files = json.load(sys.stdin)["data"][0]["files"]
folders, all_files = {}, []
for entry in files:
    path = os.path.relpath(entry["filename"])
    lines, regions = entry["summary"]["lines"], entry["summary"]["branches"]
    folder = path.split("/")[0]
    if folder in ("analyzer", "dissectors", "schema") and path.endswith(".c"):
        total = folders.setdefault(folder, [0, 0, 0, 0])
        for at, value in enumerate((lines["covered"], lines["count"], regions["covered"],
                                    regions["count"])):
            total[at] += value
        all_files.append((lines["percent"], path, lines["count"]))
for folder, (lines, of_lines, branches, of_branches) in sorted(folders.items()):
    print("%-12s lines %5d of %5d (%.1f %%), branches %.1f %%" % (
        folder, lines, of_lines, 100 * lines / max(1, of_lines), 100 * branches / max(1, of_branches)))
print("least: " + ", ".join("%s %.0f %%" % (path, percent)
                            for percent, path, _ in sorted(all_files)[:24]))
