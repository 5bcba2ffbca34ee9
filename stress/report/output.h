/*
 * output: what the reports share: a file that is written whole or not at all good, and text of any bytes, character
 * by character. Reasons come from a process that has just failed; they may hold anything.
 */
#ifndef STRESS_OUTPUT_H
#define STRESS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "suite.h"

enum { STRESS_REPLACEMENT = 0xFFFD };

/* "-" is standard output; NULL with errno set where it cannot be opened. */
FILE *stress_output_open(const char *path);

/* True where all that was written has arrived; otherwise errno says why not. */
bool stress_output_close(FILE *file);

/* Text that ends at a zero byte or after `room` bytes. */
struct stress_characters {
    const char *next;
    size_t room;
};

/* Stores the next character; false at the end. Each byte that is not part of well-formed UTF-8 is a replacement
 * character. */
bool stress_characters_next(struct stress_characters *text, uint32_t *character);

void stress_output_character(FILE *file, uint32_t character);

const char *stress_verdict_name(enum kit_verdict verdict);

/* The whole object; contains no "<", so that it may stand in a script element. */
void stress_json_write(FILE *file, const struct stress_suite *suite);

#endif
