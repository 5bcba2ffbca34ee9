/*
 * explored: what the explorer and the explored library ask of each other, beside the seam itself.
 */
#ifndef EXPLORE_EXPLORED_H
#define EXPLORE_EXPLORED_H

#include <stdbool.h>
#include <stddef.h>

#include "sync.h"

/* Of the library (os_explored.c): the cache of a thread that has none. */
struct hs_cache *hs_explored_no_cache(void);

/* Whether the first call is over. By a function: a variable of the library that the explorer names is the linker's to
 * move into the explorer, where nobody sees to it. */
bool hs_explored_has_heap(void);

/* Where the compiler counts how often the library's parts were executed, in builds for coverage; no bytes in others. */
void hs_explored_counters(uintptr_t *base, size_t *bytes);

/* What becomes of a misuse that the library finds. */
void hs_explored_on_misuse(void (*handler)(const char *line));

/* Of the explorer (backend.c), for the library's operating system: a call to it, which is one more thing that threads
 * share; `variable` stands for it, and memory that is given back for all that lies there. True where the search has it
 * fail. */
bool backend_call_fails(const volatile void *variable, bool gives_back);
/* The call was one by which that memory is gone, or as new. */
void backend_memory_goes(const volatile void *base, size_t bytes);
void backend_yield(void);

/* Of the explorer, for itself. */
int backend_holder_of(const struct hs_mutex *mutex); /* the number of a thread, or -1 */
void backend_name_lock(const struct hs_mutex *mutex, char *name, size_t bytes);
void backend_run_destructor(unsigned key, const void *value);

/* One of fork's handlers, of which the library has registered three. */
enum fork_handler { FORK_PREPARE, FORK_PARENT, FORK_CHILD };
void backend_run_fork_handler(enum fork_handler which);

#endif
