#include "world.h"

#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build.h"
#include "compiler.h"
#include "explored.h"
#include "races.h"
#include "tables.h"

enum { SPAN_BREAK, SPAN_MAPS, SPAN_GLOBALS, SPANS };
enum { HOLES_MOST = 64 };

struct span {
    char *base;
    size_t bytes;      /* what there is room for */
    size_t used_bytes; /* what the explored process has had so far, since the reset */
    char *image;       /* as it was at the checkpoint */
    size_t image_bytes;
    uint8_t *is_dirty;  /* a page that was written since the checkpoint, or since the reset where that was later */
    uint8_t *has_image; /* one that was written between the two: others are as they were at the reset */
};

/* A mapping that was given back; its addresses serve again. */
struct hole {
    char *base;
    size_t bytes;
};

static struct span spans[SPANS];
static char *first_globals; /* as they were at the start of the process */
static uint32_t dirty_pages[SPANS][8192];
static size_t dirty_count[SPANS];
static uint32_t imaged_pages[SPANS][8192];
static size_t imaged_count[SPANS];

uintptr_t world_last_written = UINTPTR_MAX;

static struct {
    size_t break_bytes;
    size_t maps_bytes;
    struct hole holes[HOLES_MOST];
    unsigned hole_count;
    uint64_t now_ms;
} os, os_at_checkpoint;

struct world_range world_library, world_counters;

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "heapster-explore: %s\n", what);
    exit(2);
}

/* The library's variables: its writable segment without what the linker made read-only after relocation. */
static int find_globals(struct dl_phdr_info *info, size_t bytes, void *context)
{
    uintptr_t first = UINTPTR_MAX, last = 0, relro = 0;
    const char *name = strrchr(info->dlpi_name, '/');

    (void)bytes;
    (void)context;
    if (name == NULL || strcmp(name + 1, EXPLORE_LIBRARY_NAME) != 0)
        return 0;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t from = info->dlpi_addr + header->p_vaddr, to = from + header->p_memsz;

        if (header->p_type == PT_GNU_RELRO)
            relro = to;
        if (header->p_type != PT_LOAD || !(header->p_flags & PF_W))
            continue;
        first = from < first ? from : first;
        last = to > last ? to : last;
    }
    if (relro > first)
        first = relro;
    /* The dynamic linker protects whole pages, and leaves the last one as it is where variables share it. */
    spans[SPAN_GLOBALS].base = (char *)(first & ~(WORLD_PAGE_BYTES - 1));
    spans[SPAN_GLOBALS].bytes = (last - (uintptr_t)spans[SPAN_GLOBALS].base + 7) & ~(size_t)7;
    return 1;
}

void world_init(void)
{
    spans[SPAN_BREAK].base = tables_map_huge((void *)WORLD_BASE, WORLD_BREAK_BYTES);
    spans[SPAN_BREAK].bytes = WORLD_BREAK_BYTES;
    spans[SPAN_MAPS].base = tables_map_huge((void *)WORLD_MAPS_BASE, WORLD_MAPS_BYTES);
    spans[SPAN_MAPS].bytes = WORLD_MAPS_BYTES;
    (void)dl_iterate_phdr(find_globals, NULL);
    if (spans[SPAN_GLOBALS].base == NULL || spans[SPAN_GLOBALS].bytes > WORLD_LIBRARY_BYTES_MOST)
        die("cannot find the variables of " EXPLORE_LIBRARY_NAME);
    spans[SPAN_GLOBALS].used_bytes = spans[SPAN_GLOBALS].bytes;
    world_library = (struct world_range){(uintptr_t)spans[SPAN_GLOBALS].base, spans[SPAN_GLOBALS].bytes};
    for (unsigned i = 0; i < SPANS; i++) {
        spans[i].image = tables_map_huge(NULL, spans[i].bytes);
        spans[i].is_dirty = tables_map(spans[i].bytes / WORLD_PAGE_BYTES + 1);
        spans[i].has_image = tables_map(spans[i].bytes / WORLD_PAGE_BYTES + 1);
    }
    hs_explored_counters(&world_counters.base, &world_counters.bytes);
    first_globals = tables_map(spans[SPAN_GLOBALS].bytes);
    explore_copy(first_globals, spans[SPAN_GLOBALS].base, spans[SPAN_GLOBALS].bytes);
}

static void forget_dirty(unsigned index)
{
    for (size_t i = 0; i < dirty_count[index]; i++)
        spans[index].is_dirty[dirty_pages[index][i]] = 0;
    dirty_count[index] = 0;
    world_last_written = UINTPTR_MAX;
}

static size_t page_bytes(const struct span *span, size_t page)
{
    size_t rest = span->bytes - page * WORLD_PAGE_BYTES;

    return rest < WORLD_PAGE_BYTES ? rest : WORLD_PAGE_BYTES;
}

/* All but the counters, wherever they lie, if there are any. */
static void put_back(char *at, const char *image, size_t bytes)
{
    char *end = at + bytes, *counters = (char *)world_counters.base, *rest;

    if (world_counters.bytes == 0) {
        explore_copy(at, image, bytes);
        return;
    }
    if (at < counters)
        explore_copy(at, image, end < counters ? bytes : (size_t)(counters - at));
    rest = counters + world_counters.bytes;
    rest = at > rest ? at : rest;
    if (rest < end)
        explore_copy(rest, image + (rest - at), (size_t)(end - rest));
}

/* As it was at the start of the process. */
static void reset_page(unsigned index, size_t page)
{
    char *at = spans[index].base + page * WORLD_PAGE_BYTES;

    if (index == SPAN_GLOBALS)
        put_back(at, first_globals + page * WORLD_PAGE_BYTES, page_bytes(&spans[index], page));
    else
        explore_zero(at, page_bytes(&spans[index], page));
}

/* As it was at the checkpoint. */
static void rewind_page(unsigned index, size_t page)
{
    struct span *span = &spans[index];
    size_t offset = page * WORLD_PAGE_BYTES;

    if (span->has_image[page])
        put_back(span->base + offset, span->image + offset, page_bytes(span, page));
    else
        reset_page(index, page);
}

static void keep_page(unsigned index, size_t page)
{
    struct span *span = &spans[index];
    size_t offset = page * WORLD_PAGE_BYTES;

    explore_copy(span->image + offset, span->base + offset, page_bytes(span, page));
    if (!span->has_image[page])
        imaged_pages[index][imaged_count[index]++] = (uint32_t)page;
    span->has_image[page] = 1;
}

/* The pages that were written since the last of these calls; in builds whose plain accesses nobody tells of, all in
 * use.
 */
static void for_each_dirty(unsigned index, void (*visit)(unsigned index, size_t page))
{
    if (!EXPLORE_HAS_SANITIZER) {
        for (size_t k = 0; k < dirty_count[index]; k++)
            visit(index, dirty_pages[index][k]);
    } else {
        for (size_t page = 0; page * WORLD_PAGE_BYTES < spans[index].used_bytes; page++)
            visit(index, page);
    }
    forget_dirty(index);
}

void world_reset(void)
{
    for (unsigned i = 0; i < SPANS; i++) {
        for_each_dirty(i, reset_page);
        for (size_t k = 0; k < imaged_count[i]; k++) {
            reset_page(i, imaged_pages[i][k]);
            spans[i].has_image[imaged_pages[i][k]] = 0;
        }
        imaged_count[i] = 0;
        if (i != SPAN_GLOBALS)
            spans[i].used_bytes = spans[i].image_bytes = 0;
    }
    explore_zero(&os, sizeof os);
}

void world_checkpoint(void)
{
    for (unsigned i = 0; i < SPANS; i++) {
        for_each_dirty(i, keep_page);
        spans[i].image_bytes = spans[i].used_bytes;
    }
    os_at_checkpoint = os;
}

void world_rewind(void)
{
    for (unsigned i = 0; i < SPANS; i++) {
        for_each_dirty(i, rewind_page);
        if (i != SPAN_GLOBALS)
            spans[i].used_bytes = spans[i].image_bytes;
    }
    os = os_at_checkpoint;
}

/* The span that holds an address, or SPANS. */
static inline unsigned span_of(const volatile void *address)
{
    uintptr_t at = (uintptr_t)address;

    if (hs_wrap_subtract(at, WORLD_BASE) < WORLD_BREAK_BYTES)
        return SPAN_BREAK;
    if (hs_wrap_subtract(at, (uintptr_t)spans[SPAN_GLOBALS].base) < spans[SPAN_GLOBALS].bytes)
        return SPAN_GLOBALS;
    return hs_wrap_subtract(at, WORLD_MAPS_BASE) < WORLD_MAPS_BYTES ? SPAN_MAPS : SPANS;
}

bool world_has_memory(const volatile void *address)
{
    unsigned index = span_of(address);

    if (index == SPAN_BREAK)
        return (uintptr_t)address - (uintptr_t)spans[SPAN_BREAK].base < os.break_bytes;
    if (index != SPAN_MAPS)
        return false;
    for (unsigned i = 0; i < os.hole_count; i++)
        if (hs_wrap_subtract((uintptr_t)address, (uintptr_t)os.holes[i].base) < os.holes[i].bytes)
            return false;
    return (uintptr_t)address - (uintptr_t)spans[SPAN_MAPS].base < os.maps_bytes;
}

uint64_t world_name(const volatile void *address)
{
    unsigned index = span_of(address);

    if (index == SPANS)
        return 0;
    return ((uint64_t)index << 32) + (uint64_t)((uintptr_t)address - (uintptr_t)spans[index].base);
}

const volatile void *world_address(uint64_t name)
{
    return name >> 32 < SPANS ? spans[name >> 32].base + (name & UINT32_MAX) : NULL;
}

void world_note_pages(const volatile void *address, size_t bytes)
{
    unsigned index = span_of(address);
    struct span *span = &spans[index];
    size_t first, last;

    if (index == SPANS || bytes == 0)
        return;
    first = ((uintptr_t)address - (uintptr_t)span->base) / WORLD_PAGE_BYTES;
    last = ((uintptr_t)address + bytes - 1 - (uintptr_t)span->base) / WORLD_PAGE_BYTES;
    for (size_t page = first; page <= last; page++) {
        if (span->is_dirty[page])
            continue;
        span->is_dirty[page] = 1;
        dirty_pages[index][dirty_count[index]++] = (uint32_t)page;
    }
    world_last_written = (uintptr_t)address / WORLD_PAGE_BYTES * WORLD_PAGE_BYTES;
}

/* ---- the operating system ---------------------------------------------------------------------------------------- */

static void note_used(unsigned index, size_t bytes)
{
    if (bytes > spans[index].used_bytes)
        spans[index].used_bytes = bytes;
}

static void clear(char *base, size_t bytes)
{
    world_note_write(base, bytes);
    explore_zero(base, bytes);
}

char *world_break_now(void)
{
    return spans[SPAN_BREAK].base + os.break_bytes;
}

char *world_break_move(ptrdiff_t bytes)
{
    char *old = world_break_now();

    if (bytes > 0 && (size_t)bytes > WORLD_BREAK_BYTES - os.break_bytes)
        return NULL;
    if (bytes < 0) {
        world_clear(old + bytes, (size_t)-bytes);
        os.break_bytes -= (size_t)-bytes;
    } else {
        os.break_bytes += (size_t)bytes;
    }
    note_used(SPAN_BREAK, os.break_bytes);
    return old;
}

static size_t round_to_pages(size_t bytes)
{
    return (bytes + WORLD_PAGE_BYTES - 1) & ~(WORLD_PAGE_BYTES - 1);
}

static bool add_hole(struct hole hole)
{
    if (hole.bytes == 0)
        return true;
    if (os.hole_count == HOLES_MOST)
        return false;
    os.holes[os.hole_count++] = hole;
    return true;
}

/* The first address in a hole that is aligned as asked for, or NULL where the hole is too short. */
static char *place_in(const struct hole *hole, size_t bytes, size_t alignment, size_t offset)
{
    char *base = hole->base + hs_bytes_to_multiple((uintptr_t)(hole->base + offset), alignment);

    return base + bytes <= hole->base + hole->bytes ? base : NULL;
}

static char *take_from_hole(unsigned index, size_t bytes, size_t alignment, size_t offset)
{
    struct hole hole = os.holes[index];
    char *base = place_in(&hole, bytes, alignment, offset), *end;

    if (base == NULL || os.hole_count > HOLES_MOST - 1)
        return NULL;
    os.holes[index] = os.holes[--os.hole_count];
    end = base + bytes;
    (void)add_hole((struct hole){hole.base, (size_t)(base - hole.base)});
    (void)add_hole((struct hole){end, (size_t)(hole.base + hole.bytes - end)});
    return base;
}

char *world_map(size_t bytes, size_t alignment, size_t offset)
{
    struct hole rest;
    char *base;

    bytes = round_to_pages(bytes);
    for (unsigned i = 0; i < os.hole_count; i++) {
        base = take_from_hole(i, bytes, alignment, offset);
        if (base != NULL)
            return base;
    }
    rest = (struct hole){spans[SPAN_MAPS].base + os.maps_bytes, WORLD_MAPS_BYTES - os.maps_bytes};
    base = place_in(&rest, bytes, alignment, offset);
    if (base == NULL || !add_hole((struct hole){rest.base, (size_t)(base - rest.base)}))
        return NULL;
    os.maps_bytes = (size_t)(base + bytes - spans[SPAN_MAPS].base);
    note_used(SPAN_MAPS, os.maps_bytes);
    return base;
}

void world_clear(char *base, size_t bytes)
{
    clear(base, bytes);
    races_make_new(base, bytes);
}

bool world_unmap(char *base, size_t bytes)
{
    bytes = round_to_pages(bytes);
    if (!add_hole((struct hole){base, bytes}))
        return false;
    world_clear(base, bytes);
    return true;
}

char *world_remap(char *base, size_t old_bytes, size_t new_bytes, bool may_move)
{
    char *moved;

    old_bytes = round_to_pages(old_bytes);
    new_bytes = round_to_pages(new_bytes);
    if (new_bytes <= old_bytes)
        return world_unmap(base + new_bytes, old_bytes - new_bytes) ? base : NULL;
    moved = may_move ? world_map(new_bytes, WORLD_PAGE_BYTES, 0) : NULL;
    if (moved == NULL)
        return NULL;
    world_note_write(moved, old_bytes);
    explore_copy(moved, base, old_bytes);
    return world_unmap(base, old_bytes) ? moved : NULL;
}

uint64_t world_now_ms(void)
{
    return os.now_ms;
}

void world_pass_time(uint64_t ms)
{
    os.now_ms += ms;
}
