/*
 * A fuzz target of the selftest, compiled several times: CRASHES reads beyond a block where the input has "HEA"
 * anywhere; WEARS_OUT fails in its two thousandth execution, whatever the input; REMEMBERS fails where an input with
 * "fire" comes after one with "arm"; FAILS_ONCE fails if it can make the file that the environment names; SLEEPS uses
 * little of the processor; without any of them it is sound.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes);

static volatile unsigned reached;

/* --print FILE, as the tree's targets have it. */
int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    FILE *file;
    int byte;

    if (*count != 3 || strcmp((*arguments)[1], "--print") != 0)
        return 0;
    file = fopen((*arguments)[2], "rb");
    if (file == NULL)
        exit(2);
    while ((byte = fgetc(file)) != EOF)
        (void)printf("byte %d\n", byte);
    (void)fclose(file);
    exit(0);
}

#ifdef CRASHES
static void overflow(const uint8_t *input, size_t bytes)
{
    char *block = malloc(bytes);

    memcpy(block, input, bytes);
    reached += (unsigned)block[bytes];
    free(block);
}
#else
static void overflow(const uint8_t *input, size_t bytes)
{
    (void)input;
    reached += (unsigned)bytes;
}
#endif

#ifdef WEARS_OUT
static void count_execution(void)
{
    static unsigned executions;

    if (++executions == 2000) {
        (void)fprintf(stderr, "fuzz_worn: worn out\n");
        abort();
    }
}
#else
static void count_execution(void)
{
}
#endif

#ifdef FAILS_ONCE
static void fail_once(void)
{
    const char *path = getenv("FAILED_ONCE");
    FILE *file = path == NULL ? NULL : fopen(path, "wx");

    if (file == NULL)
        return;
    (void)fclose(file);
    (void)fprintf(stderr, "fuzz_once: this once\n");
    abort();
}
#else
static void fail_once(void)
{
}
#endif

#ifdef SLEEPS
static void rest(void)
{
    (void)usleep(5000);
}
#else
static void rest(void)
{
}
#endif

#ifdef REMEMBERS
static void remember(const uint8_t *input, size_t bytes)
{
    static int was_armed;

    if (was_armed && bytes > 3 && memcmp(input, "fire", 4) == 0) {
        (void)fprintf(stderr, "fuzz_memory: fired\n");
        abort();
    }
    was_armed = was_armed || (bytes > 2 && memcmp(input, "arm", 3) == 0);
}
#else
static void remember(const uint8_t *input, size_t bytes)
{
    reached += (unsigned)bytes + (input != NULL);
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    count_execution();
    fail_once();
    rest();
    remember(input, bytes);
    for (size_t i = 0; i + 2 < bytes; i++)
        if (input[i] == 'H' && input[i + 1] == 'E' && input[i + 2] == 'A') {
            overflow(input, bytes);
            break;
        }
    return 0;
}
