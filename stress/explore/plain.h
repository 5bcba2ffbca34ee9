/*
 * plain: plain accesses of the explored library, and how the oracle's own are told of.
 */
#ifndef EXPLORE_PLAIN_H
#define EXPLORE_PLAIN_H

#include <stddef.h>

#include "engine.h"
#include "world.h"

/* A plain access of the explored library, at `place`. */
void plain_read_watched(const volatile void *address, size_t bytes, const void *place);
void plain_write_watched(volatile void *address, size_t bytes, const void *place);

static inline void plain_read(const volatile void *address, size_t bytes, const void *place)
{
    if (!engine_is_unwatched())
        plain_read_watched(address, bytes, place);
}

static inline void plain_write(volatile void *address, size_t bytes, const void *place)
{
    if (engine_is_unwatched())
        world_note_write(address, bytes);
    else
        plain_write_watched(address, bytes, place);
}

/* Accesses of the explorer's own code to the explored process's memory, as a program's. */
void plain_note_read(const volatile void *address, size_t bytes);
void plain_note_write(volatile void *address, size_t bytes);

#endif
