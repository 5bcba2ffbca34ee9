/*
 * timeline: a recorded execution as text, a column for each thread.
 */
#ifndef EXPLORE_TIMELINE_H
#define EXPLORE_TIMELINE_H

#include <stdbool.h>
#include <stdio.h>

#include "program.h"

/* What is printed of an execution. */
enum steps {
    STEPS_NONE,
    STEPS_SHARED, /* dull ones in a row (uses.h) are one line */
    STEPS_ALL,
    STEPS_RAW /* the recorded events as they are, a line each, for programs: kind, thread, name, value, what was found,
                 by how many stores a load lags behind, preemptions so far, and the text of a call */
};

enum { WIDTH_LEAST = 60, WIDTH_DEFAULT = 140 };

bool timeline_parse_steps(const char *name, enum steps *steps);

/* Of the terminal that is written to; otherwise WIDTH_DEFAULT. */
int timeline_width(FILE *out);

/* Prints the recorded execution (engine_events). */
void timeline_print(FILE *out, int width, enum steps steps, const struct program *program, const char *failure);

#endif
