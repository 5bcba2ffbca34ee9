/*
 * text: lines built on the stack and written by write(2). stdio would allocate from the heap under test, and a report
 * of a violation must not depend on a heap that has just been found broken.
 */
#ifndef KIT_TEXT_H
#define KIT_TEXT_H

#include <stddef.h>

struct kit_text {
    size_t length;
    char bytes[4096];
};

/* Appends; what does not fit is left out. */
void kit_text_add(struct kit_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes all of it and empties it. */
void kit_text_write(struct kit_text *text, int file);

#endif
