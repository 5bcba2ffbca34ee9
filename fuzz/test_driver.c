/*
 * test_driver: a target that writes beyond a block where the text has an x. Without an engine, too, what
 * AddressSanitizer ends has to leave its input.
 */
#include <stdlib.h>
#include <string.h>

#include "target.h"

static void run_text(const char *text)
{
    const char *found = strchr(text, 'x');
    char *block = malloc(8);

    if (block == NULL)
        return;
    ((volatile char *)block)[found == NULL ? 0 : 8] = 1;
    free(block);
}

static const char *const words[] = {"a", "b", "x", NULL};

const struct fuzz_target fuzz_target = {.name = "overflow", .run_text = run_text, .words = words};
