#include "place.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os.h"
#include "region.h"

#define LEAF_BYTES ((uintptr_t)1 << 32) /* the reach of a leaf */
#define LEAVES 64
#define BELOW_OTHERS_BYTES (96 * LEAF_BYTES)

static uintptr_t area, next, end; /* of the part that is being filled */

/* More than there is fails wherever it is asked for. */
static char *place(size_t bytes)
{
    uintptr_t page = hs_os_page_bytes(), address = next;

    if (bytes > end - next)
        return NULL;
    next += (bytes + page - 1) & ~(page - 1);
    return (char *)address;
}

/* In the last granule of the leaf's reach something was, and is no more; the leaf stays. */
static void make_leaf(uintptr_t address)
{
    static struct hs_region region;
    const char *last = (const char *)(address | (LEAF_BYTES - 1)) - (HS_GRANULE_BYTES - 1);

    if (!hs_region_enter(&region, last, 1))
        exit(1);
    hs_region_leave(last, 1);
}

/* Where there is a leaf already, the reserved one is kept. */
static void make_spare_leaf(uintptr_t address)
{
    static struct hs_region region;
    struct hs_region_leaf *reserved = hs_region_reserve_leaf();

    if (reserved == NULL)
        exit(1);
    hs_region_enter_reserved(&region, (const char *)address, reserved);
    hs_region_leave((const char *)address, 1);
}

static void make_leaves(void)
{
    uintptr_t end_of_break = (uintptr_t)sbrk(0);

    for (unsigned i = 0; i < LEAVES; i++)
        make_leaf(area + i * LEAF_BYTES);
    for (unsigned i = 0; i < LEAVES; i++)
        make_leaf(end_of_break + i * LEAF_BYTES);
    make_spare_leaf(area);
}

void place_start(void)
{
    void *others = mmap(NULL, hs_os_page_bytes(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (others == MAP_FAILED)
        exit(1);
    (void)munmap(others, hs_os_page_bytes());
    if ((uintptr_t)others < BELOW_OTHERS_BYTES + LEAF_BYTES)
        return; /* a small address space: the kernel chooses */
    area = ((uintptr_t)others - BELOW_OTHERS_BYTES) & ~(LEAF_BYTES - 1);
    make_leaves();
    hs_os_place = place;
}

static uintptr_t program(void)
{
    return area + LEAF_BYTES;
}

bool place_is_a_programs(const void *address)
{
    return (uintptr_t)address >= program() && (uintptr_t)address < area + LEAVES * LEAF_BYTES;
}

bool place_leave_program(void)
{
    char *first = (char *)program();
    size_t bytes = next > program() ? next - program() : 0;
    bool was_free;
    void *found;

    if (area == 0 || bytes == 0)
        return true;
    next = program();
    found = mmap(first, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    was_free = found == first || (found == MAP_FAILED && errno != EEXIST); /* a limit of the process says nothing */
    if (found != MAP_FAILED && found != first)
        (void)munmap(found, bytes);
    (void)munmap(first, bytes);
    return was_free;
}

void place_between_programs(void)
{
    next = area;
    end = program();
}

void place_program(void)
{
    next = program();
    end = area + LEAVES * LEAF_BYTES;
}
