/*
 * entry: the functions that engines call, libFuzzer, AFL++ and the driver beside this file alike, and what a person
 * asks of a target:
 *
 *     --print FILE     the input as a program to read
 *     --emit-c FILE    the same as C, for any malloc; not of every target
 *     --dictionary     the sizes around every boundary, as engines read them
 *     --walk=each      the walker looks after every operation; so does FUZZ_WALK=each
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"
#include "wrap.h"

bool fuzz_walks_each;
uint64_t fuzz_digest;

static struct fuzz_program program;

void fuzz_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)fprintf(stderr, "fuzz_%s: ", fuzz_target.name);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
    abort();
}

void fuzz_note(uint64_t what)
{
    fuzz_digest = kit_wrap_multiply(fuzz_digest ^ what, UINT64_C(0x9E3779B97F4A7C15));
    fuzz_digest ^= fuzz_digest >> 32;
}

void fuzz_print_flags(FILE *out)
{
    (void)fprintf(out, "       --print FILE             the input as a program to read\n"
                       "       --emit-c FILE            the same as C, for any malloc\n"
                       "       --dictionary             what engines read as a dictionary\n"
                       "       --walk=each              the walker looks after every operation\n");
}

bool fuzz_asks_for_help(const char *argument)
{
    return strcmp(argument, "-help") == 0 || strcmp(argument, "-help=1") == 0 || strcmp(argument, "--help") == 0;
}

static void obey(int argc, char **argv, int i)
{
    const char *path = i + 1 < argc ? argv[i + 1] : "";

    if (strcmp(argv[i], "--print") == 0)
        exit(fuzz_print(path));
    if (strcmp(argv[i], "--emit-c") == 0)
        exit(fuzz_emit_c(path));
    if (strcmp(argv[i], "--dictionary") == 0) {
        fuzz_print_dictionary();
        exit(0);
    }
    /* The engine goes on with its own flags. */
    if (fuzz_asks_for_help(argv[i])) {
        (void)printf("fuzz_%s, whatever the engine:\n", fuzz_target.name);
        fuzz_print_flags(stdout);
        (void)fflush(stdout);
    }
}

/* What was asked of the target, the engine does not see. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *walk = getenv("FUZZ_WALK");
    int kept = 1;

    fuzz_walks_each = walk != NULL && strcmp(walk, "each") == 0;
    for (int i = 1; i < *argc; i++) {
        obey(*argc, *argv, i);
        if (strcmp((*argv)[i], "--walk=each") == 0)
            fuzz_walks_each = true;
        else
            (*argv)[kept++] = (*argv)[i];
    }
    if (kept < *argc) {
        *argc = kept;
        (*argv)[kept] = NULL;
    }
    fuzz_start_allocator();
    if (fuzz_target.prepare != NULL)
        fuzz_target.prepare();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    static char text[FUZZ_TEXT_MOST + 1];

    fuzz_digest = 0;
    if (fuzz_target.kinds == NULL) {
        bytes = bytes < FUZZ_TEXT_MOST ? bytes : FUZZ_TEXT_MOST;
        if (bytes > 0)
            memcpy(text, input, bytes);
        text[bytes] = '\0';
        fuzz_target.run_text(text);
        return 0;
    }
    fuzz_decode(&program, input, bytes, fuzz_target.kind_count);
    fuzz_target.run(&program);
    return 0;
}
