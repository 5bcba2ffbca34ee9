#include "plain.h"

#include <string.h>

#include "explored_calls.h"
#include "memory.h"
#include "order.h"
#include "pairs.h"

static void expect_mapped(const volatile void *address, size_t bytes)
{
    const volatile char *last = (const volatile char *)address + (bytes > 0 ? bytes - 1 : 0);

    if (!world_is_mapped(address) || !world_is_mapped(last))
        engine_fail("access to %p, which the process does not have (%#llx)", (const void *)(uintptr_t)address,
                    (unsigned long long)world_name(address));
}

void plain_read_watched(const volatile void *address, size_t bytes, const void *place)
{
    if (!world_holds(address) || world_counts_at(address))
        return;
    expect_mapped(address, bytes);
    pairs_note(NULL, place);
    memory_read_plain(address, bytes, place);
}

void plain_write_watched(volatile void *address, size_t bytes, const void *place)
{
    if (!world_holds(address) || world_counts_at(address))
        return;
    expect_mapped(address, bytes);
    pairs_note(NULL, place);
    memory_write_plain(address, bytes, place);
}

void plain_note_read(const volatile void *address, size_t bytes)
{
    plain_read(address, bytes, __builtin_return_address(0));
    order_read(address, bytes);
}

void plain_note_write(volatile void *address, size_t bytes)
{
    plain_write(address, bytes, __builtin_return_address(0));
    order_write(address, bytes);
}

/* ---- functions of libc that the library calls -------------------------------------------------------------------- */

void *explored_memset(void *to, int byte, size_t bytes)
{
    plain_write(to, bytes, __builtin_return_address(0));
    return memset(to, byte, bytes);
}

void *explored_memcpy(void *to, const void *from, size_t bytes)
{
    plain_read(from, bytes, __builtin_return_address(0));
    plain_write(to, bytes, __builtin_return_address(0));
    return memcpy(to, from, bytes);
}

void *explored_memmove(void *to, const void *from, size_t bytes)
{
    plain_read(from, bytes, __builtin_return_address(0));
    plain_write(to, bytes, __builtin_return_address(0));
    return memmove(to, from, bytes);
}

void explored_abort(void)
{
    engine_fail("abort() was called");
}
