#include "races.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "build.h"
#include "engine.h"
#include "world.h"

/* The last accesses to each of 8 bytes, by the epoch of each thread. */
struct cell {
    uint16_t rows;   /* of the epochs, those that there are, a bit each */
    uint8_t threads; /* that have used it, a bit each */
    uint8_t marks;   /* races_marks */
    uint16_t epochs[ACCESSES][THREADS_MOST][8];
    const void *places[THREADS_MOST]; /* of the last access */
};

static struct cell *cells;
static uint32_t *cell_generations; /* apart, so that many become new at once */
static uint32_t generation;

static void *map_or_die(size_t bytes)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (base == MAP_FAILED) {
        (void)fputs("heapster-explore: no memory for the search for races\n", stderr);
        exit(2);
    }
    return base;
}

void races_init(void)
{
    cells = map_or_die(world_cells * sizeof *cells);
    cell_generations = map_or_die(world_cells * sizeof *cell_generations);
}

void races_forget(void)
{
    generation++;
}

_Static_assert(ACCESSES *THREADS_MOST <= 16, "a bit of a cell for each row");

static struct cell *cell_at(const volatile void *address)
{
    size_t index = world_cell(address);

    if (cell_generations[index] != generation) {
        cells[index].threads = cells[index].marks = 0;
        cells[index].rows = 0;
        cell_generations[index] = generation;
    }
    return &cells[index];
}

void races_make_new(const volatile void *address, size_t bytes)
{
    uintptr_t first = (uintptr_t)address & ~(uintptr_t)7, end = (uintptr_t)address + bytes;

    explore_zero(&cell_generations[world_cell((const void *)first)], (end - first + 7) / 8 * sizeof *cell_generations);
}

static const char *access_name(enum access access)
{
    static const char *const names[ACCESSES] = {"plain write", "plain read", "atomic write", "atomic read"};

    return names[access];
}

/* Whether two accesses of different threads to one byte are a race where neither is ordered before the other. */
static bool conflicts(enum access one, enum access other)
{
    if (one >= ACCESS_ATOMIC_WRITE && other >= ACCESS_ATOMIC_WRITE)
        return false;
    return one == ACCESS_PLAIN_WRITE || other == ACCESS_PLAIN_WRITE || one == ACCESS_ATOMIC_WRITE ||
           other == ACCESS_ATOMIC_WRITE;
}

/* Whether the thread has made such an access. */
static bool has_row(const struct cell *cell, enum access access, unsigned thread)
{
    return (cell->rows >> ((unsigned)access * THREADS_MOST + thread) & 1) != 0;
}

static uint16_t *row_of(struct cell *cell, enum access access, unsigned thread)
{
    uint16_t *row = cell->epochs[access][thread];

    if (!has_row(cell, access, thread)) {
        cell->rows |= (uint16_t)(1U << ((unsigned)access * THREADS_MOST + thread));
        explore_zero(row, sizeof cell->epochs[access][thread]);
    }
    return row;
}

static void expect_no_race_with(const struct cell *cell, unsigned thread, enum access other, unsigned first,
                                unsigned count, enum access access, const volatile char *address, const void *place)
{
    uint16_t known = engine_self()->knows.before.at[thread];

    for (unsigned byte = first; byte < first + count; byte++)
        if (cell->epochs[other][thread][byte] > known)
            engine_fail("race: %s by thread %u at %p beside %s by thread %u at %p, both of byte %#llx",
                        access_name(access), execution.current + 1, place, access_name(other), thread + 1,
                        cell->places[thread], (unsigned long long)world_name(address + (byte - first)));
}

static void expect_no_race(const struct cell *cell, unsigned first, unsigned count, enum access access,
                           const volatile char *address, const void *place)
{
    for (unsigned other = 0; other < ACCESSES; other++)
        for (unsigned thread = 0; thread < THREADS_MOST && conflicts(access, (enum access)other); thread++)
            if (thread != execution.current && has_row(cell, (enum access)other, thread))
                expect_no_race_with(cell, thread, (enum access)other, first, count, access, address, place);
}

/* Most accesses are of 8 bytes, and two stores then. */
static void set_epochs(uint16_t *row, unsigned first, unsigned count, uint16_t epoch)
{
    uint64_t four = epoch * UINT64_C(0x0001000100010001);

    if (count == 8) {
        memcpy(row, &four, sizeof four);
        memcpy(row + 4, &four, sizeof four);
        return;
    }
    for (unsigned byte = first; byte < first + count; byte++)
        row[byte] = epoch;
}

static void note_in_cell(const volatile char *address, unsigned first, unsigned count, enum access access,
                         const void *place)
{
    struct cell *cell = cell_at(address);
    unsigned me = execution.current;
    uint16_t epoch = engine_self()->knows.before.at[me];
    uint16_t *row = row_of(cell, access, me);
    bool is_alone = (cell->threads & ~(1U << me)) == 0;

    cell->threads |= (uint8_t)(1U << me);
    cell->places[me] = place;
    if (!is_alone)
        expect_no_race(cell, first, count, access, address, place);
    set_epochs(row, first, count, epoch);
}

void races_note(const volatile void *address, size_t bytes, enum access access, const void *place)
{
    const volatile char *at = address, *end = at + bytes;

    while (at < end) {
        unsigned first = (unsigned)((uintptr_t)at & 7);
        unsigned count = 8 - first < (size_t)(end - at) ? 8 - first : (unsigned)(end - at);

        note_in_cell(at, first, count, access, place);
        at += count;
    }
}

void races_expect_unused(const volatile void *address, size_t bytes, const void *place)
{
    const volatile char *first = (const volatile char *)((uintptr_t)address & ~(uintptr_t)7);
    size_t index = world_cell(first), count = ((uintptr_t)address + bytes - (uintptr_t)first + 7) / 8;

    for (size_t i = 0; i < count; i++)
        if (cell_generations[index + i] == generation)
            expect_no_race(&cells[index + i], 0, 8, ACCESS_PLAIN_WRITE, first + i * 8, place);
}

uint8_t *races_marks(const volatile void *address)
{
    return &cell_at(address)->marks;
}
