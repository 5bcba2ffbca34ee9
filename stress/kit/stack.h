/*
 * stack: the return addresses of the calling thread, where libc knows how to find them.
 */
#ifndef KIT_STACK_H
#define KIT_STACK_H

#include <stdbool.h>

/* False where kit_stack_take finds nothing. */
extern const bool kit_stack_is_known;

/* Loads what the first stack needs, which may allocate. Later ones allocate nothing and may be taken in a signal
 * handler. */
void kit_stack_prepare(void);

/* Innermost first; returns how many there are. */
unsigned kit_stack_take(void **frames, unsigned room);

#endif
