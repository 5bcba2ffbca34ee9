/*
 * visible_valgrind: memcheck; and, where threads are looked at, helgrind and drd.
 *
 * To memcheck a block is what libc's malloc returns to it: a record with the bytes asked for and the stack of the call,
 * around it memory that nobody may touch. It looks at every instruction, the allocator's own among them, and these have
 * to touch closed memory: tags, links, nodes. So it keeps its reports to itself while a call of the allocator is under
 * way (HS_VISIBLE_CALL). The allocator's own faults are looked for in builds without this backend.
 *
 * helgrind and drd see no call of malloc. A block that is handed out is new memory to them, whatever was there before;
 * what is ordered by the allocator's atomics they learn from the seam (sync_valgrind.h). Their reports stay on.
 */
#ifndef HS_VISIBLE_VALGRIND_H
#define HS_VISIBLE_VALGRIND_H

#include <valgrind/memcheck.h>

#include "sync.h"

/* One byte's answer tells whether the tool is memcheck: the others do not know the question. */
static inline bool hs_is_memcheck(void)
{
    char byte = 0, bits = 0;

    return VALGRIND_GET_VBITS(&byte, &bits, 1) == 1;
}

static inline bool hs_visible_enter(void)
{
    bool is_memcheck = hs_is_memcheck();

    if (is_memcheck)
        VALGRIND_DISABLE_ERROR_REPORTING;
    return is_memcheck;
}

static inline void hs_visible_leave(const bool *entered)
{
    if (*entered)
        VALGRIND_ENABLE_ERROR_REPORTING;
}

#define HS_VISIBLE 1
#define HS_TOOL_FOLLOWS_MREMAP 0
#define HS_VISIBLE_CALL bool entered __attribute__((cleanup(hs_visible_leave), unused)) = hs_visible_enter()

static inline void hs_memory_close(const void *base, size_t bytes)
{
    (void)VALGRIND_MAKE_MEM_NOACCESS(base, bytes);
}

static inline void hs_memory_open(const void *base, size_t bytes)
{
    (void)VALGRIND_MAKE_MEM_UNDEFINED(base, bytes);
}

/* A search for leaks looks at all memory that may be accessed. */
static inline void hs_memory_hide(const void *base, size_t bytes)
{
    (void)VALGRIND_MAKE_MEM_NOACCESS(base, bytes);
}

static inline void hs_memory_root(const void *base, size_t old_bytes, size_t bytes)
{
    (void)base;
    (void)old_bytes;
    (void)bytes;
}

static inline void hs_tool_allocated(void *payload, size_t bytes, size_t usable_bytes, bool zeroed)
{
    hs_atomics_forget(payload, usable_bytes);
    VALGRIND_MALLOCLIKE_BLOCK(payload, bytes, 0, zeroed);
}

static inline void hs_tool_freed(void *payload, size_t usable_bytes)
{
    (void)usable_bytes;
    VALGRIND_FREELIKE_BLOCK(payload, 0);
}

static inline void hs_tool_resized(void *payload, size_t old_bytes, size_t bytes, size_t usable_bytes)
{
    (void)usable_bytes;
    VALGRIND_RESIZEINPLACE_BLOCK(payload, old_bytes, bytes, 0);
}

static inline bool hs_byte_is_closed(const char *byte)
{
    char bits;

    return VALGRIND_GET_VBITS(byte, &bits, 1) == 3;
}

/* Where the open bytes end, which begin with the block, by halving. */
static inline size_t hs_tool_bytes(const void *payload, size_t usable_bytes)
{
    size_t open_bytes = 0, closed_from = usable_bytes;

    while (open_bytes < closed_from) {
        size_t middle = open_bytes + (closed_from - open_bytes) / 2;

        if (hs_byte_is_closed((const char *)payload + middle))
            closed_from = middle;
        else
            open_bytes = middle + 1;
    }
    return open_bytes;
}

#endif
