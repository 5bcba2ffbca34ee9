/*
 * A fuzz target of the selftest, compiled several times: CRASHES reads beyond a block where the input has "HEA"
 * anywhere; WEARS_OUT fails in its two thousandth execution, whatever the input; without either it is sound.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
static void wear_out(void)
{
    static unsigned executions;

    if (++executions == 2000) {
        (void)fprintf(stderr, "fuzz_worn: worn out\n");
        abort();
    }
}
#else
static void wear_out(void)
{
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    wear_out();
    for (size_t i = 0; i + 2 < bytes; i++)
        if (input[i] == 'H' && input[i + 1] == 'E' && input[i + 2] == 'A') {
            overflow(input, bytes);
            break;
        }
    return 0;
}
