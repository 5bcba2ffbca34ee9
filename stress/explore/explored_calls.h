/*
 * explored_calls: what the explored library calls in the place of libc's functions on memory, and of abort (plain.c).
 */
#ifndef EXPLORED_CALLS_H
#define EXPLORED_CALLS_H

#include <stddef.h>

void *explored_memset(void *to, int byte, size_t bytes);
void *explored_memcpy(void *to, const void *from, size_t bytes);
void *explored_memmove(void *to, const void *from, size_t bytes);
void explored_abort(void) __attribute__((noreturn));

#endif
