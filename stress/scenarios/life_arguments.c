#include "life_arguments.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char life_usage[] = "usage: " STRESS_LIFE_PROGRAM " --allocator heapster|system VARIANT [--seed N]\n"
                          "                            [--tolerated N]\n"
                          "       " STRESS_LIFE_PROGRAM " --list\n"
                          "\n"
                          "Leads one short life of a process and verifies every block in it, early and late.\n"
                          "Exit status: 0 passed, 1 something was violated, 2 usage, 3 handlers did not run.\n";

/* NULL after the last one. */
static const char *next_argument(const char *text, const char *end, const char *argument)
{
    const char *next = argument != NULL ? argument + strlen(argument) + 1 : text;

    return next < end ? next : NULL;
}

static bool read_command_line(char *text, size_t room, const char **end)
{
    int file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t got;

    if (file < 0)
        return false;
    while (length < room - 1 && (got = read(file, text + length, room - 1 - length)) > 0)
        length += (size_t)got;
    (void)close(file);
    text[length] = '\0';
    *end = text + length;
    return length != 0;
}

static bool read_variant(const char *name, struct life_arguments *arguments)
{
    for (unsigned i = 0; i < STRESS_LIFE_VARIANTS; i++) {
        if (strcmp(stress_life_texts[i].name, name) == 0) {
            arguments->variant = (enum stress_life_variant)i;
            arguments->variant_name = stress_life_texts[i].name;
            return true;
        }
    }
    return false;
}

static bool read_number(const char *text, uint64_t *number)
{
    char *end;

    errno = 0;
    *number = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
}

static bool read_tolerated(const char *text, struct life_arguments *arguments)
{
    uint64_t number;
    bool good = read_number(text, &number);

    arguments->tolerated = (unsigned)number;
    return good;
}

static bool read_allocator(const char *name, struct life_arguments *arguments)
{
    arguments->of_heapster = strcmp(name, "heapster") == 0;
    return arguments->of_heapster || strcmp(name, "system") == 0;
}

void life_arguments_read(struct life_arguments *arguments)
{
    static char text[LIFE_COMMAND_BYTES];
    const char *end, *argument, *value;
    bool good = read_command_line(text, sizeof text, &end), has_allocator = false, has_variant = false;

    *arguments = (struct life_arguments){.errand = LIFE_MISUSED, .program = text};
    if (!good)
        return;
    argument = next_argument(text, end, text);
    for (; good && argument != NULL; argument = next_argument(text, end, argument)) {
        value = next_argument(text, end, argument);
        if (strcmp(argument, "--list") == 0) {
            arguments->errand = LIFE_LIST;
            return;
        }
        if (strcmp(argument, "--allocator") == 0)
            good = has_allocator = value != NULL && read_allocator(value, arguments);
        else if (strcmp(argument, "--seed") == 0)
            good = value != NULL && read_number(value, &arguments->seed);
        else if (strcmp(argument, "--tolerated") == 0)
            good = value != NULL && read_tolerated(value, arguments);
        else
            good = has_variant = read_variant(argument, arguments);
        if (argument[0] == '-' && good)
            argument = value;
    }
    if (good && has_allocator && has_variant)
        arguments->errand = LIFE_LIVE;
}

static const char *allocator_name(const struct life_arguments *arguments)
{
    return arguments->of_heapster ? "heapster" : "system";
}

/* NAME='value' and a space where the environment has it; returns how long that is. */
static size_t add_variable(char *command, size_t room, const char *name)
{
    const char *value = getenv(name);
    int length = value != NULL ? snprintf(command, room, "%s='%s' ", name, value) : 0;

    return length > 0 && (size_t)length < room ? (size_t)length : 0;
}

void life_arguments_describe(const struct life_arguments *arguments, const char *comment,
                             char command[LIFE_COMMAND_BYTES])
{
    size_t length = add_variable(command, LIFE_COMMAND_BYTES / 4, "LD_PRELOAD");

    length += add_variable(command + length, LIFE_COMMAND_BYTES / 4, "HEAPSTER_OPTIONS");
    (void)snprintf(command + length, LIFE_COMMAND_BYTES - length,
                   "%s --allocator %s %s --seed %" PRIu64 " --tolerated %u  # %s", arguments->program,
                   allocator_name(arguments), arguments->variant_name, arguments->seed, arguments->tolerated, comment);
}

void life_arguments_of_next(const struct life_arguments *arguments, enum stress_life_variant variant,
                            char *next[LIFE_ARGUMENTS])
{
    static char allocator_flag[] = "--allocator", seed_flag[] = "--seed", tolerated_flag[] = "--tolerated";
    static char program[LIFE_COMMAND_BYTES], allocator[16], name[32], seed[24], tolerated[16];

    (void)snprintf(program, sizeof program, "%s", arguments->program);
    (void)snprintf(allocator, sizeof allocator, "%s", allocator_name(arguments));
    (void)snprintf(name, sizeof name, "%s", stress_life_texts[variant].name);
    (void)snprintf(seed, sizeof seed, "%" PRIu64, arguments->seed + 1);
    (void)snprintf(tolerated, sizeof tolerated, "%u", arguments->tolerated);
    memcpy(next,
           (char *[LIFE_ARGUMENTS]){program, allocator_flag, allocator, name, seed_flag, seed, tolerated_flag,
                                    tolerated, NULL},
           LIFE_ARGUMENTS * sizeof *next);
}
