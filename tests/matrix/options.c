/*
 * The options of sanitizers/options hold without any environment: this program does what they, and not the defaults of
 * the run-time, have reported. The test runs it with an empty environment and looks for the report.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is gone when it is looked at; past the compiler's own warning. */
static void *volatile kept;

__attribute__((noinline)) static void keep(volatile void *address)
{
    kept = (void *)address;
}

__attribute__((noinline)) static void keep_local(void)
{
    volatile int local = 7;

    keep(&local);
}

static int use_after_return(void)
{
    keep_local();
    return *(int *)kept;
}

static int leak(void)
{
    kept = malloc(40);
    if (kept == NULL)
        return EXIT_FAILURE;
    memset(kept, 1, 40);
    kept = NULL;
    return EXIT_SUCCESS;
}

static int overflow(void)
{
    volatile int most = INT_MAX;

    return most + 1;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "use_after_return") == 0)
        return use_after_return();
    if (argc == 2 && strcmp(argv[1], "leak") == 0)
        return leak();
    if (argc == 2 && strcmp(argv[1], "overflow") == 0)
        return overflow();
    (void)fprintf(stderr, "usage: %s use_after_return|leak|overflow\n", argv[0]);
    return 2;
}
