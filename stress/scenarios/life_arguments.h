/*
 * life_arguments: the command line of heapster-stress-life, read before anybody hands it over: not every libc passes it
 * to what runs before main.
 */
#ifndef STRESS_LIFE_ARGUMENTS_H
#define STRESS_LIFE_ARGUMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "life_variants.h"

enum { LIFE_COMMAND_BYTES = 4096, LIFE_ARGUMENTS = 9 };

enum life_errand { LIFE_MISUSED, LIFE_LIST, LIFE_LIVE };

struct life_arguments {
    enum life_errand errand;
    enum stress_life_variant variant;
    const char *variant_name, *program;
    bool of_heapster; /* or of the process's malloc */
    uint64_t seed;
    unsigned tolerated; /* of enum kit_tolerance */
};

extern const char life_usage[];

/* Allocates nothing. */
void life_arguments_read(struct life_arguments *arguments);

/* The command that leads this life again, with what the environment says, and a comment. */
void life_arguments_describe(const struct life_arguments *arguments, const char *comment,
                             char command[LIFE_COMMAND_BYTES]);

/* For execv: the same with another variant and the seed after this one. They lie in static memory. */
void life_arguments_of_next(const struct life_arguments *arguments, enum stress_life_variant variant,
                            char *next[LIFE_ARGUMENTS]);

#endif
