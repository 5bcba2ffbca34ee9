/* compare, strategies: scripts for python3 that start this program many times over. */
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "subcommands.h"

enum { EXIT_CANNOT_START = 127, OWN_ARGUMENTS = 4, FIRST = 2 };

/* Cuts the last parts off; false where there are not that many. */
static bool cut_last(char *path, unsigned parts)
{
    for (; parts > 0; parts--) {
        char *slash = strrchr(path, '/');

        if (slash == NULL)
            return false;
        *slash = '\0';
    }
    return true;
}

/* <prefix>/share/heapster/bench/<name> for a program <prefix>/bin/heapster-bench. */
static bool find_script(const char *program, const char *name, char *script, size_t bytes)
{
    char prefix[PATH_MAX];
    int length;

    (void)snprintf(prefix, sizeof prefix, "%s", program);
    if (!cut_last(prefix, 2))
        return false;
    length = snprintf(script, bytes, "%s/share/heapster/bench/%s", prefix, name);
    return length > 0 && (size_t)length < bytes && access(script, R_OK) == 0;
}

/* python3 SCRIPT --bench PROGRAM and the arguments behind the subcommand's name. */
static int start_script(const char *name, int argc, char **argv)
{
    char program[PATH_MAX], script[PATH_MAX + sizeof "/share/heapster/bench/strategies.py"];
    char interpreter[] = "python3", option[] = "--bench";
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    char **arguments = calloc((size_t)argc + OWN_ARGUMENTS, sizeof *arguments);

    if (arguments == NULL || length < 0) {
        perror("heapster-bench");
        free(arguments);
        return EXIT_CANNOT_START;
    }
    program[length] = '\0';
    if (!find_script(program, name, script, sizeof script)) {
        (void)fprintf(stderr, "heapster-bench: no share/heapster/bench/%s beside the folder of %s\n", name, program);
        free(arguments);
        return EXIT_CANNOT_START;
    }
    arguments[0] = interpreter;
    arguments[1] = script;
    arguments[2] = option;
    arguments[3] = program;
    for (int i = FIRST; i < argc; i++)
        arguments[OWN_ARGUMENTS - FIRST + i] = argv[i];
    (void)execvp(interpreter, arguments);
    perror("heapster-bench: cannot start python3");
    free(arguments);
    return EXIT_CANNOT_START;
}

int bench_compare(int argc, char **argv)
{
    return start_script("compare.py", argc, argv);
}

int bench_strategies(int argc, char **argv)
{
    return start_script("strategies.py", argc, argv);
}
