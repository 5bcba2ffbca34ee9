/*
 * program: what the threads of a scenario do, as a text that fits into a token.
 *
 *     <set-up>/<thread 1>/<thread 2>[/...][@<options>]
 *
 * each a list of operations with commas between them; slots are numbered from 0 to 15, sizes are in bytes:
 *
 *     m<slot>=<bytes>              malloc         f<slot>             free
 *     c<slot>=<bytes>              calloc         r<slot>=<bytes>     realloc
 *     a<slot>=<bytes>x<alignment>  aligned_alloc  i<slot>             inspect the content
 *     n<group>=<bytes>x<count>     malloc, so often    o<group>  free of all of them (groups.h)
 *     l<slot>         looks up whose address that of the slot's block is, or was: as far as a free of it would look
 *     t  heapster_trim             w  heapster_check, running         s  heapster_stats
 *     e  empty the own cache       x  the end of the thread           k  fork; what follows is done by parent and child
 *     h<bytes>  fork, in which a handler of somebody else's allocates so much while all locks are taken, and frees it
 *     d<ms>  time passes           g<strategy>  heapster_set_strategy
 *     @<thread>  in the set-up: what follows is done as that thread (1 to begin with)
 *
 * Options are those of HEAPSTER_OPTIONS, with + between them.
 */
#ifndef EXPLORE_PROGRAM_H
#define EXPLORE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

#include "clock.h"

enum op_kind {
    OP_MALLOC = 'm',
    OP_CALLOC = 'c',
    OP_REALLOC = 'r',
    OP_ALIGNED = 'a',
    OP_FREE = 'f',
    OP_INSPECT = 'i',
    OP_LOOK = 'l',
    OP_MANY = 'n',
    OP_FREE_MANY = 'o',
    OP_TRIM = 't',
    OP_CHECK = 'w',
    OP_STATS = 's',
    OP_EMPTY = 'e',
    OP_EXIT = 'x',
    OP_FORK = 'k',
    OP_FORK_HANDLED = 'h',
    OP_TIME = 'd',
    OP_STRATEGY = 'g',
    OP_AS = '@'
};

enum { SLOTS = 16, OPS_MOST = 48, PROGRAM_TEXT_BYTES = 1024, OPTIONS_BYTES = 128 };

struct op {
    char kind;
    unsigned slot;    /* or a group */
    size_t bytes;     /* or milliseconds, a strategy, the number of a thread; of a fork, what its handler allocates */
    size_t alignment; /* or how many blocks */
};

struct ops {
    unsigned count;
    struct op list[OPS_MOST];
};

struct program {
    struct ops set_up;
    struct ops threads[THREADS_MOST];
    unsigned thread_count;
    char options[OPTIONS_BYTES];
};

/* False, with what is wrong in `error`, where the text is none. */
bool program_parse(struct program *program, const char *text, const char **error);

/* The text that gives the same program. */
void program_print(const struct program *program, char *text, size_t bytes);

void program_print_op(const struct op *op, char *text, size_t bytes);

#endif
