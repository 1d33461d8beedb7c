"""What the test programs share: where things are, running switchtap, counting."""
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = os.path.abspath(os.environ.get("PROGRAM", os.path.join(ROOT, "switchtap")))
UPDATE = "--update" in sys.argv
NAMES = [a for a in sys.argv[1:] if not a.startswith("--")]


class Tally:
    """Counts, and says what failed. `end` prints the line that check.sh adds up."""

    def __init__(self, what):
        self.what, self.passed, self.failed, self.skipped = what, 0, 0, 0

    def check(self, name, good, detail=""):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print("FAILED %s: %s\n%s" % (self.what, name, detail))
        return good

    def equal(self, name, got, want):
        import difflib
        diff = "" if got == want else "".join(difflib.unified_diff(
            want.splitlines(True), got.splitlines(True), "expected", "got", n=1))
        return self.check(name, got == want, diff)

    def skip(self, name, why):
        self.skipped += 1
        print("skipped %s: %s: %s" % (self.what, name, why))

    def end(self):
        print("%s: %d passed, %d failed, %d skipped" % (self.what, self.passed, self.failed,
                                                        self.skipped))
        sys.exit(1 if self.failed else 0)


def run(*arguments, **options):
    """Runs switchtap; a sanitizer's report or a signal is an exception, whatever was expected."""
    options.setdefault("timeout", 120)
    done = subprocess.run([PROGRAM] + [str(a) for a in arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, **options)
    done.out = done.stdout.decode("utf-8", "replace")
    done.err = done.stderr.decode("utf-8", "replace")
    if done.returncode < 0 or "Sanitizer" in done.err or "runtime error" in done.err:
        raise RuntimeError("switchtap %s died: %d\n%s" % (arguments, done.returncode, done.err))
    return done


def keylog(capture):
    """Options for the key log that lies beside a capture."""
    path = os.path.splitext(capture)[0] + ".keys"
    return ["--keylog", path] if os.path.exists(path) else []


def read(capture, database, *options):
    if os.path.exists(database):
        os.unlink(database)
    captures = capture if isinstance(capture, list) else [capture]
    keys = [] if "--keylog" in options else [o for c in captures for o in keylog(c)]
    done = run("read", "-q", "-o", database, *options, *keys, *captures)
    if done.returncode != 0:
        raise RuntimeError("reading %s: %d\n%s" % (capture, done.returncode, done.err))
    return done


def folder():
    return tempfile.TemporaryDirectory(prefix="switchtap-test-")
