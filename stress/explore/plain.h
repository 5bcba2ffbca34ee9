/*
 * plain: what the explored library calls in the place of libc's functions on memory; and how the oracle's own accesses
 * are told of.
 */
#ifndef EXPLORE_PLAIN_H
#define EXPLORE_PLAIN_H

#include <stddef.h>

void *explored_memset(void *to, int byte, size_t bytes);
void *explored_memcpy(void *to, const void *from, size_t bytes);
void *explored_memmove(void *to, const void *from, size_t bytes);
/* A plain access of the explored library, at `place`. */
void plain_read(const volatile void *address, size_t bytes, const void *place);
void plain_write(volatile void *address, size_t bytes, const void *place);

/* Accesses of the explorer's own code to the explored process's memory, as a program's. */
void plain_note_read(const volatile void *address, size_t bytes);
void plain_note_write(volatile void *address, size_t bytes);

void explored_abort(void) __attribute__((noreturn));

#endif
