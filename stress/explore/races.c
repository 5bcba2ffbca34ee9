#include "races.h"

#include <string.h>

#include "build.h"
#include "engine.h"
#include "tables.h"
#include "world.h"

/* The last accesses to each of 8 bytes, by the epoch of each thread. What one thread does in one epoch is noted as
 * which bytes it accessed how, and becomes epochs when another thread or another epoch comes: most cells see no other.
 */
struct cell {
    uint16_t rows;   /* of the epochs, those that there are, a bit each */
    uint8_t threads; /* that have used it, a bit each */
    uint8_t thread;  /* of what is noted, and the epoch */
    uint16_t epoch;
    uint32_t noted; /* for each access a byte, with a bit for each of the 8 */
    struct races_locations locations;
    const void *places[THREADS_MOST]; /* of the last access */
};

struct epochs {
    uint16_t at[ACCESSES][THREADS_MOST][8];
};

static struct cell *cells;
static struct epochs *cell_epochs;
static uint32_t *cell_generations; /* apart, so that many become new at once */
static uint32_t generation;

void races_init(void)
{
    cells = tables_map_huge(NULL, WORLD_CELLS * sizeof *cells);
    cell_epochs = tables_map_huge(NULL, WORLD_CELLS * sizeof *cell_epochs);
    cell_generations = tables_map_huge(NULL, WORLD_CELLS * sizeof *cell_generations);
}

void races_forget(void)
{
    generation++;
}

_Static_assert(ACCESSES == 4 && ACCESSES * THREADS_MOST <= 16, "a bit of a cell for each row");

static inline struct cell *cell_at(const volatile void *address)
{
    size_t index = world_cell(address);

    if (cell_generations[index] != generation) {
        cell_generations[index] = generation;
        cells[index] = (struct cell){.rows = 0};
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

#define ROWS_OF(access) (((1U << THREADS_MOST) - 1) << (access)*THREADS_MOST)

/* The rows of all accesses to one byte that make a race where neither is ordered before the other. */
static unsigned conflicting_rows(enum access access)
{
    static const unsigned rows[ACCESSES] = {
        [ACCESS_PLAIN_WRITE] = ROWS_OF(ACCESS_PLAIN_WRITE) | ROWS_OF(ACCESS_PLAIN_READ) | ROWS_OF(ACCESS_ATOMIC_WRITE) |
                               ROWS_OF(ACCESS_ATOMIC_READ),
        [ACCESS_PLAIN_READ] = ROWS_OF(ACCESS_PLAIN_WRITE) | ROWS_OF(ACCESS_ATOMIC_WRITE),
        [ACCESS_ATOMIC_WRITE] = ROWS_OF(ACCESS_PLAIN_WRITE) | ROWS_OF(ACCESS_PLAIN_READ),
        [ACCESS_ATOMIC_READ] = ROWS_OF(ACCESS_PLAIN_WRITE),
    };

    return rows[access];
}

/* The rows of one thread. */
static unsigned rows_by(unsigned thread)
{
    return (1U | 1U << THREADS_MOST | 1U << 2 * THREADS_MOST | 1U << 3 * THREADS_MOST) << thread;
}

static struct epochs *epochs_of(const struct cell *cell)
{
    return &cell_epochs[cell - cells];
}

static uint16_t *row_of(struct cell *cell, enum access access, unsigned thread)
{
    uint16_t *row = epochs_of(cell)->at[access][thread],
             bit = (uint16_t)(1U << ((unsigned)access * THREADS_MOST + thread));

    if ((cell->rows & bit) == 0)
        explore_zero(row, sizeof epochs_of(cell)->at[access][thread]);
    cell->rows |= bit;
    return row;
}

/* Most accesses are of 8 bytes, and two stores then. */
static void set_epochs(uint16_t *row, unsigned bytes, uint16_t epoch)
{
    uint64_t four = epoch * UINT64_C(0x0001000100010001);

    if (bytes == UINT8_MAX) {
        memcpy(row, &four, sizeof four);
        memcpy(row + 4, &four, sizeof four);
        return;
    }
    for (unsigned byte = 0; byte < 8; byte++)
        if (bytes >> byte & 1)
            row[byte] = epoch;
}

/* What is noted becomes epochs. */
static void settle(struct cell *cell)
{
    while (cell->noted != 0) {
        unsigned access = (unsigned)__builtin_ctz(cell->noted) / 8, bytes = cell->noted >> access * 8 & UINT8_MAX;

        set_epochs(row_of(cell, (enum access)access, cell->thread), bytes, cell->epoch);
        cell->noted &= ~(bytes << access * 8);
    }
}

/* The first of the bytes at which the other thread's access is not known to have been before. */
static void expect_no_race_with(const struct cell *cell, unsigned thread, enum access other, unsigned bytes,
                                enum access access, const volatile char *address, const void *place)
{
    const uint16_t *row = epochs_of(cell)->at[other][thread];
    uint16_t known = engine_self()->knows.before.at[thread];

    for (unsigned byte = 0; byte < 8; byte++)
        if ((bytes >> byte & 1) && row[byte] > known)
            engine_fail("race: %s by thread %u at %p beside %s by thread %u at %p, both of byte %#llx",
                        access_name(access), execution.current + 1, place, access_name(other), thread + 1,
                        cell->places[thread],
                        (unsigned long long)world_name((const volatile char *)((uintptr_t)address / 8 * 8) + byte));
}

static void expect_no_race(const struct cell *cell, unsigned bytes, enum access access, const volatile char *address,
                           const void *place)
{
    unsigned rows = cell->rows & conflicting_rows(access) & ~rows_by(execution.current);

    for (; rows != 0; rows &= rows - 1) {
        unsigned row = (unsigned)__builtin_ctz(rows);

        expect_no_race_with(cell, row % THREADS_MOST, (enum access)(row / THREADS_MOST), bytes, access, address, place);
    }
}

static inline void note_in_cell(const volatile char *address, unsigned bytes, enum access access, const void *place)
{
    struct cell *cell = cell_at(address);
    unsigned me = execution.current;
    uint16_t epoch = engine_self()->knows.before.at[me];

    if (cell->epoch != epoch || cell->thread != me) {
        settle(cell);
        cell->epoch = epoch;
        cell->thread = (uint8_t)me;
    }
    cell->threads |= (uint8_t)(1U << me);
    /* Where nobody else has come in between, what was in order is. */
    if (cell->threads != 1U << me && (cell->noted >> access * 8 & bytes) != bytes)
        expect_no_race(cell, bytes, access, address, place);
    cell->noted |= bytes << access * 8;
    cell->places[me] = place;
}

void races_note(const volatile void *address, size_t bytes, enum access access, const void *place)
{
    const volatile char *at = address, *end = at + bytes;
    unsigned offset = (unsigned)((uintptr_t)at & 7);

    if (bytes > 0 && offset + bytes <= 8) {
        note_in_cell(at, ((1U << bytes) - 1) << offset, access, place);
        return;
    }
    while (at < end) {
        unsigned first = (unsigned)((uintptr_t)at & 7);
        unsigned count = 8 - first < (size_t)(end - at) ? 8 - first : (unsigned)(end - at);

        note_in_cell(at, ((1U << count) - 1) << first, access, place);
        at += count;
    }
}

void races_expect_unused(const volatile void *address, size_t bytes, const void *place)
{
    const volatile char *first = (const volatile char *)((uintptr_t)address & ~(uintptr_t)7);
    size_t index = world_cell(first), count = ((uintptr_t)address + bytes - (uintptr_t)first + 7) / 8;

    for (size_t i = 0; i < count; i++)
        if (cell_generations[index + i] == generation) {
            settle(&cells[index + i]);
            expect_no_race(&cells[index + i], UINT8_MAX, ACCESS_PLAIN_WRITE, first + i * 8, place);
        }
}

struct races_locations *races_locations(const volatile void *address)
{
    return &cell_at(address)->locations;
}
