/*
 * heapster-run: runs a program with the allocator preloaded.
 *
 *     heapster-run [--strategy best] [--option name=value]... [--stats] -- program args
 *
 * It puts the library in front of LD_PRELOAD, the options behind those that HEAPSTER_OPTIONS has already (the later
 * one of a name counts), and becomes the program. The library is the one of the same build or installation: it is
 * looked for beside this executable first, so a folder may be moved as a whole.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As the shell and env(1) have them. */
enum { STATUS_NO_LIBRARY = 1, STATUS_USAGE = 2, STATUS_CANNOT_EXECUTE = 126, STATUS_NOT_FOUND = 127 };

static const char usage_text[] =
    "usage: heapster-run [--strategy first|next|best|worst] [--option name=value]... [--stats] [--help]\n"
    "                    [--] program [argument]...\n";

static const char help_text[] =
    "\n"
    "Runs the program with its malloc, and that of all it starts, served by Heapster.\n"
    "\n"
    "  --strategy NAME      which free block serves a request: first, next, best or worst fit\n"
    "  --option NAME=VALUE  any option of HEAPSTER_OPTIONS; those given here win over the environment's\n"
    "  --stats              print the statistics on standard error when a process ends\n"
    "  --help               print this\n"
    "\n"
    "Exit status: the program's; 1 if the library is missing, 2 for bad usage, 126 if the program cannot be\n"
    "executed, 127 if it cannot be found. Programs that are linked statically or run with the rights of another\n"
    "user keep their own malloc.\n";

_Noreturn static void fail(int status, const char *what, const char *detail)
{
    (void)fprintf(stderr, "heapster-run: %s: %s\n", what, detail);
    exit(status);
}

_Noreturn static void fail_usage(void)
{
    (void)fputs(usage_text, stderr);
    exit(STATUS_USAGE);
}

/* Sets the variable to `left` and `right`, `between` them where both have text. */
static void set_joined(const char *variable, const char *left, char between, const char *right)
{
    size_t left_length = strlen(left), right_length = strlen(right);
    char *joined = malloc(left_length + right_length + 2);
    size_t at = left_length;

    if (joined == NULL)
        fail(STATUS_NO_LIBRARY, variable, strerror(ENOMEM));
    memcpy(joined, left, left_length);
    if (left_length > 0 && right_length > 0)
        joined[at++] = between;
    memcpy(joined + at, right, right_length + 1);
    if (setenv(variable, joined, 1) != 0)
        fail(STATUS_NO_LIBRARY, variable, strerror(errno));
    free(joined);
}

static const char *environment(const char *variable)
{
    const char *value = getenv(variable);

    return value != NULL ? value : "";
}

static void add_option(const char *option)
{
    set_joined("HEAPSTER_OPTIONS", environment("HEAPSTER_OPTIONS"), ',', option);
}

static void add_strategy(const char *name)
{
    static const char *const options[] = {"strategy=first", "strategy=next", "strategy=best", "strategy=worst"};

    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (strcmp(strchr(options[i], '=') + 1, name) == 0) {
            add_option(options[i]);
            return;
        }
    (void)fprintf(stderr, "heapster-run: unknown strategy '%s'\n", name);
    fail_usage();
}

static void add_named_option(const char *option)
{
    const char *equals = strchr(option, '=');

    if (equals == NULL || equals == option) {
        (void)fprintf(stderr, "heapster-run: '%s' is not of the form name=value\n", option);
        fail_usage();
    }
    add_option(option);
}

/* Adds what the flags say to HEAPSTER_OPTIONS; returns the index of the program among the arguments. */
static int read_flags(int argc, char **argv)
{
    static const struct option flags[] = {
        {"strategy", required_argument, NULL, 's'},
        {"option", required_argument, NULL, 'o'},
        {"stats", no_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int flag;

    /* "+": flags behind the program's name are its own. */
    while ((flag = getopt_long(argc, argv, "+", flags, NULL)) != -1) {
        switch (flag) {
        case 's':
            add_strategy(optarg);
            break;
        case 'o':
            add_named_option(optarg);
            break;
        case 't':
            add_option("stats=exit");
            break;
        case 'h':
            (void)fputs(usage_text, stdout);
            (void)fputs(help_text, stdout);
            exit(fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
        default:
            fail_usage();
        }
    }
    if (optind == argc) {
        (void)fputs("heapster-run: no program given\n", stderr);
        fail_usage();
    }
    return optind;
}

/* Writes "<folder>/<below>/<library>" and returns true if that can be read. */
static bool try_folder(char *path, const char *folder, const char *below)
{
    int length = snprintf(path, PATH_MAX, "%s%s/" HEAPSTER_LIBRARY_NAME, folder, below);

    return length > 0 && length < PATH_MAX && access(path, R_OK) == 0;
}

/* Where this executable lies, without the last slash; empty if /proc does not say. */
static void find_own_folder(char *folder)
{
    ssize_t length = readlink("/proc/self/exe", folder, PATH_MAX - 1);
    char *slash;

    folder[length > 0 ? length : 0] = '\0';
    slash = strrchr(folder, '/');
    if (slash != NULL)
        *slash = '\0';
}

static void find_library(char *path)
{
    char own[PATH_MAX];

    find_own_folder(own);
    if (own[0] != '\0' && (try_folder(path, own, "/..") || try_folder(path, own, "/../" HEAPSTER_LIBRARY_SUBFOLDER)))
        return;
    if (!try_folder(path, HEAPSTER_LIBRARY_DIRECTORY, ""))
        fail(STATUS_NO_LIBRARY, HEAPSTER_LIBRARY_NAME,
             "found neither beside heapster-run nor in " HEAPSTER_LIBRARY_DIRECTORY);
}

int main(int argc, char **argv)
{
    int program = read_flags(argc, argv);
    char library[PATH_MAX];

    find_library(library);
    /* The dynamic linker splits LD_PRELOAD at both and offers no way to quote them. */
    if (strpbrk(library, ": ") != NULL)
        fail(STATUS_NO_LIBRARY, library, "a path with a colon or a space cannot be preloaded");
    set_joined("LD_PRELOAD", library, ':', environment("LD_PRELOAD"));

    (void)execvp(argv[program], argv + program);
    fail(errno == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_EXECUTE, argv[program], strerror(errno));
}
