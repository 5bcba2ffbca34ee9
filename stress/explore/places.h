/*
 * places: where in the source a return address leads: function, file and line, with what was inlined around it.
 *
 * addr2line is run once for each file, with all addresses that are wanted. Where it is missing, or does not answer in
 * time, a place is the file's name and an offset, which is what addr2line wants to be asked.
 *
 *     places_clear, places_want ..., places_find, places_get ...
 */
#ifndef EXPLORE_PLACES_H
#define EXPLORE_PLACES_H

#include <stdbool.h>

enum { FRAMES_MOST = 12 };

struct frame {
    const char *function;
    const char *file; /* without its folders; of an unknown place the module and an offset */
    unsigned line;    /* 0: unknown */
};

struct place {
    const void *address;
    struct frame frames[FRAMES_MOST]; /* the innermost first */
    unsigned frame_count;             /* at least 1 */
    unsigned telling;                 /* the first frame outside of the seam and of the tags' accessors */
};

void places_clear(void);
void places_want(const void *address);

/* Whether the address lies in a file that the process has loaded. */
bool places_is_code(const void *address);

/* Looks up all that are wanted. False where addr2line cannot be run. */
bool places_find(void);

/* NULL for what was not wanted. Valid up to places_clear. */
const struct place *places_get(const void *address);

/* Whether one of the frames is in that file. */
bool places_pass_through(const struct place *place, const char *file);

#endif
