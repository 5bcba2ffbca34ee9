/*
 * failure: what is printed of a failing execution: its token, what it was shrunk to, its timeline, and its page.
 */
#ifndef EXPLORE_FAILURE_H
#define EXPLORE_FAILURE_H

#include <stdbool.h>

#include "memory.h"
#include "shrink.h"
#include "timeline.h"

struct failure_options {
    bool shrinks;
    enum steps steps;
    int width;
    const char *page; /* path of the page; "-": standard output; NULL: none */
};

/* `name`: the scenario's, or the program's text. False where the page could not be written. */
bool failure_report(struct failing *failing, const char *name, enum memory_model model,
                    const struct failure_options *options);

/* The execution of these answers, failed or not, as timeline and page. */
bool failure_show(const struct program *program, const char *name, enum memory_model model,
                  const struct answers *answers, const struct failure_options *options);

#endif
