#!/bin/sh
# Writes the runner of all unit tests: one suite per file tests/unit/test_NAME.c, whose function is
# NAME_suite(). An argument to the runner chooses suites by name.
set -eu
names=$(for file in "$@"; do basename "$file" .c | sed 's/^test_//'; done)
echo '#include <check.h>'
echo '#include <signal.h>'
echo '#include <stdlib.h>'
echo '#include <string.h>'
for name in $names; do echo "Suite *${name}_suite(void);"; done
cat <<'END'
static int wanted(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return 1;
    return argc < 2;
}
int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    SRunner *runner = srunner_create(suite_create("switchtap"));
END
for name in $names; do
    echo "    if (wanted(argc, argv, \"$name\"))"
    echo "        srunner_add_suite(runner, ${name}_suite());"
done
cat <<'END'
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
END
