#include "memory.h"

#include <string.h>

#include "build.h"
#include "contention.h"
#include "engine.h"
#include "order.h"
#include "pairs.h"
#include "races.h"
#include "search.h"
#include "tables.h"
#include "world.h"

enum { HISTORY = 4, LOCATIONS_MOST = 1 << 14, MUTEXES = 1 << 12 };

struct store {
    uint64_t value;
    uint64_t event;
    struct knowledge carried; /* what an acquire load of it learns */
    const void *place;
    uint16_t epoch; /* of the thread that stored; 0: it happened before all threads */
    uint8_t thread;
};

/* An atomic location: its address and width, and its last stores, the newest last. */
struct location {
    uintptr_t address;
    uint32_t next; /* of the same 8 bytes; 0: none */
    uint8_t bytes;
    uint8_t count;
    uint32_t first;              /* the number of stores[0], counted from the first store there was */
    uint32_t seen[THREADS_MOST]; /* the newest that each thread has read, by its number */
    uint64_t reads;              /* hash of the loads since the newest store */
    struct store stores[HISTORY];
};

/* A store that its thread has executed and that has not reached memory (total store order). */
struct waiting {
    volatile void *address;
    size_t bytes;
    uint64_t value, event;
    const void *place;
    struct knowledge carried; /* of a release store: what its thread knew */
    bool releases;
};

enum { WAITING_MOST = 32 };

struct buffer {
    unsigned count; /* the oldest first */
    struct waiting list[WAITING_MOST];
};

static enum memory_model model = MODEL_C11;
static uint32_t generation;
static struct location *locations; /* of this execution, from 1 on, in the order in which they were first used */
static uint32_t location_count;
static struct handover *handovers;
static struct buffer buffers[THREADS_MOST];
static const struct hs_mutex **handover_owners;

void memory_init(void)
{
    locations = tables_map_huge(NULL, (LOCATIONS_MOST + 1) * sizeof *locations);
    races_init();
    handovers = tables_map_huge(NULL, MUTEXES * sizeof *handovers);
    handover_owners = tables_map_huge(NULL, MUTEXES * sizeof(void *));
}

void memory_set_model(enum memory_model next)
{
    model = next;
}

void memory_forget(void)
{
    generation++;
    location_count = 0;
    races_forget();
    for (unsigned i = 0; i < THREADS_MOST; i++)
        buffers[i].count = 0;
}

/* ---- locations --------------------------------------------------------------------------------------------------- */

void memory_write_quietly(volatile void *address, size_t bytes, uint64_t value)
{
    world_note_write(address, bytes);
    switch (bytes) {
    case 1:
        *(volatile uint8_t *)address = (uint8_t)value;
        break;
    case 2:
        *(volatile uint16_t *)address = (uint16_t)value;
        break;
    case 4:
        *(volatile uint32_t *)address = (uint32_t)value;
        break;
    default:
        *(volatile uint64_t *)address = value;
        break;
    }
}

/* Of the 8 bytes around an address, the location that begins there; or NULL. */
static inline struct location *find_location(const struct races_locations *around, uintptr_t address)
{
    for (uint32_t index = around->first; index != 0; index = locations[index].next)
        if (locations[index].address == address)
            return &locations[index];
    return NULL;
}

static struct location *add_location(struct races_locations *around, uintptr_t address)
{
    if (location_count == LOCATIONS_MOST)
        engine_fail("more than %d atomics in one execution", (int)LOCATIONS_MOST);
    locations[++location_count].address = address;
    locations[location_count].next = around->first;
    around->first = location_count;
    return &locations[location_count];
}

/* Begins the location anew with what memory holds, known to all. */
static struct location *begin_location(struct races_locations *around, const volatile void *address, size_t bytes)
{
    struct location *location = find_location(around, (uintptr_t)address);

    if (location == NULL)
        location = add_location(around, (uintptr_t)address);
    location->bytes = (uint8_t)bytes;
    location->count = 1;
    location->first = 0;
    explore_zero(location->seen, sizeof location->seen);
    location->reads = 0;
    location->stores[0] = (struct store){.value = memory_read_quietly(address, bytes)};
    around->marks |= (uint8_t)(1U << ((uintptr_t)address & 7));
    return location;
}

static inline struct location *location_at(const volatile void *address, size_t bytes)
{
    struct races_locations *around = races_locations(address);
    struct location *location = find_location(around, (uintptr_t)address);

    if (location == NULL || location->bytes != bytes || !(around->marks >> ((uintptr_t)address & 7) & 1))
        return begin_location(around, address, bytes);
    return location;
}

/* Forgets the locations that share a byte with a write, but for the one that begins at `but`. */
static void end_locations(volatile void *address, size_t bytes, const volatile void *but)
{
    uintptr_t first = (uintptr_t)address, end = first + bytes;

    for (uintptr_t base = first & ~(uintptr_t)7; base < end; base += 8) {
        struct races_locations *around = races_locations((const volatile void *)base);

        for (unsigned left = around->marks; left != 0; left &= left - 1) {
            unsigned byte = (unsigned)__builtin_ctz(left);
            uintptr_t at = base + byte;

            if (at != (uintptr_t)but && at < end && at + find_location(around, at)->bytes > first)
                around->marks &= (uint8_t) ~(1U << byte);
        }
    }
}

/* ---- atomics ----------------------------------------------------------------------------------------------------- */

static struct store *newest_of(struct location *location)
{
    return &location->stores[location->count - 1];
}

static bool knows_store(const struct store *store)
{
    return store->epoch == 0 || store->thread == execution.current ||
           engine_self()->knows.seen.at[store->thread] >= store->epoch;
}

/* How many of the newest stores the current thread may read. */
static unsigned count_readable(const struct location *location)
{
    unsigned readable = 1;

    while (readable < location->count) {
        unsigned index = location->count - 1U - readable;

        /* Not beyond one that it knows, nor one that it read. */
        if (knows_store(&location->stores[index + 1]) ||
            location->first + index + 1 <= location->seen[execution.current])
            break;
        readable++;
    }
    return readable;
}

/* Of a store that the current thread reads. */
static void note_read(const struct store *store, const void *place)
{
    if (store->epoch != 0 && store->thread != execution.current)
        pairs_note(store->place, place);
}

static void learn(const struct store *store)
{
    knowledge_join(&engine_self()->knows, &store->carried);
}

/* After a release: what the thread does from now on is not handed on by it. */
static void begin_epoch(void)
{
    struct thread *self = engine_self();

    self->knows.before.at[execution.current]++;
    self->knows.seen.at[execution.current]++;
}

/* `released`: what a release store hands on; NULL: it is none. */
static void append(struct location *location, uint64_t value, const struct store *continued,
                   const struct knowledge *released, const void *place, enum event_kind kind)
{
    struct thread *self = engine_self();
    const volatile void *address = (const volatile void *)location->address;
    uint64_t cause = engine_mix(newest_of(location)->event, location->reads);
    struct store store = {.value = value, .place = place, .thread = (uint8_t)execution.current};

    if (continued != NULL)
        store.carried = continued->carried;
    if (released != NULL)
        knowledge_join(&store.carried, released);
    store.epoch = self->knows.before.at[execution.current];
    store.event = engine_event(kind, address, value, 0, cause, place);
    engine_note_found(newest_of(location)->value);
    if (location->count == HISTORY) {
        explore_copy(location->stores, location->stores + 1, (HISTORY - 1) * sizeof *location->stores);
        location->count--;
        location->first++;
    }
    location->stores[location->count++] = store;
    location->seen[execution.current] = location->first + location->count - 1U;
    location->reads = 0;
}

/* ---- total store order ------------------------------------------------------------------------------------------- */

/* The newest of the current thread's stores that wait, of those that share a byte with an access. */
static const struct waiting *find_waiting(const volatile void *address, size_t bytes)
{
    const struct buffer *buffer = &buffers[execution.current];
    uintptr_t first = (uintptr_t)address;

    for (unsigned i = buffer->count; i > 0; i--) {
        const struct waiting *waiting = &buffer->list[i - 1];
        uintptr_t at = (uintptr_t)waiting->address;

        if (at < first + bytes && first < at + waiting->bytes)
            return waiting;
    }
    return NULL;
}

/* Whether a store waits: behind others it has to, and otherwise by choice where somebody could notice. */
static bool waits(const volatile void *address)
{
    const struct buffer *buffer = &buffers[execution.current];

    if (model != MODEL_TSO)
        return false;
    if (buffer->count == WAITING_MOST)
        memory_drain();
    if (buffer->count > 0)
        return true;
    return (contention_is_at(address) || search_asks_everywhere()) && search_choose(CHOICE_STORE, 2) != 0;
}

static void put_in_buffer(volatile void *address, size_t bytes, uint64_t value, bool releases, const void *place)
{
    struct thread *self = engine_self();
    struct buffer *buffer = &buffers[execution.current];

    engine_wake_all();
    self->history = engine_mix(engine_mix(self->history, world_name(address)), (uint64_t)EVENT_KINDS + 1);
    buffer->list[buffer->count++] =
        (struct waiting){address, bytes, value, self->history, place, self->knows, releases};
    if (releases)
        begin_epoch();
}

/* The current thread's oldest store reaches memory. */
static void drain_oldest(void)
{
    struct buffer *buffer = &buffers[execution.current];
    struct waiting oldest = buffer->list[0];
    struct location *location;

    buffer->count--;
    explore_copy(buffer->list, buffer->list + 1, buffer->count * sizeof *buffer->list);
    if (!world_is_mapped(oldest.address))
        engine_fail("a store reaches %p, which the process no longer has", (const void *)(uintptr_t)oldest.address);
    location = location_at(oldest.address, oldest.bytes);
    end_locations(oldest.address, oldest.bytes, oldest.address);
    append(location, oldest.value, NULL, oldest.releases ? &oldest.carried : NULL, oldest.place, EVENT_STORE);
    memory_write_quietly(oldest.address, oldest.bytes, oldest.value);
}

void memory_drain(void)
{
    while (buffers[execution.current].count > 0)
        drain_oldest();
}

void memory_drain_all(void)
{
    unsigned me = execution.current;

    for (execution.current = 0; execution.current < execution.thread_count; execution.current++)
        memory_drain();
    execution.current = me;
}

bool memory_waits(void)
{
    return buffers[execution.current].count > 0;
}

bool memory_any_waits(void)
{
    for (unsigned i = 0; model == MODEL_TSO && i < execution.thread_count; i++)
        if (buffers[i].count > 0)
            return true;
    return false;
}

/* The answer counts through the stores of the others: all up to that one of its thread reach memory. */
static void drain_up_to(unsigned answer)
{
    unsigned me = execution.current, thread = 0;

    while (thread == me || answer > buffers[thread].count) {
        answer -= thread == me ? 0 : buffers[thread].count;
        thread++;
    }
    execution.current = thread;
    for (; answer > 0; answer--)
        drain_oldest();
    execution.current = me;
}

void memory_choose_drains(void)
{
    while (model == MODEL_TSO) {
        unsigned count = 0, answer;

        for (unsigned i = 0; i < execution.thread_count; i++)
            count += i != execution.current ? buffers[i].count : 0;
        answer = count > 0 ? search_choose(CHOICE_DRAIN, count + 1) : 0;
        if (answer == 0)
            break;
        drain_up_to(answer);
        engine_self()->steps++; /* the next question is another one */
    }
}

/* ---- loads and stores -------------------------------------------------------------------------------------------- */

uint64_t memory_load(const volatile void *address, size_t bytes, bool acquires, const void *place)
{
    const struct waiting *own = find_waiting(address, bytes);
    struct location *location;
    struct store *store;
    unsigned readable = 1, stale = 0, index;
    uint64_t event;

    races_note(address, bytes, ACCESS_ATOMIC_READ, place);
    if (own != NULL && own->address == address && own->bytes == bytes) {
        (void)engine_event(EVENT_LOAD, address, own->value, 0, own->event, place);
        return own->value;
    }
    if (own != NULL)
        memory_drain();
    location = location_at(address, bytes);
    if (model == MODEL_C11)
        readable = count_readable(location);
    if (readable > 1)
        stale = search_choose(CHOICE_STORE, readable);
    index = location->count - 1U - stale;
    store = &location->stores[index];
    location->seen[execution.current] = location->first + index;
    event = engine_event(EVENT_LOAD, address, store->value, stale, store->event, place);
    location->reads = hs_wrap_add(location->reads, event);
    note_read(store, place);
    if (acquires) {
        order_acquire(address);
        learn(store);
    }
    return store->value;
}

void memory_store(volatile void *address, size_t bytes, uint64_t value, bool releases, const void *place)
{
    struct location *location;

    races_note(address, bytes, ACCESS_ATOMIC_WRITE, place);
    if (releases)
        order_release(address);
    if (waits(address)) {
        put_in_buffer(address, bytes, value, releases, place);
        return;
    }
    location = location_at(address, bytes);
    end_locations(address, bytes, address);
    append(location, value, NULL, releases ? &engine_self()->knows : NULL, place, EVENT_STORE);
    memory_write_quietly(address, bytes, value);
    if (releases)
        begin_epoch();
}

uint64_t memory_update(volatile void *address, size_t bytes, memory_next *next, const void *context, bool acquires,
                       bool releases, const void *place)
{
    struct location *location;
    struct store found;
    uint64_t value;

    memory_drain();
    location = location_at(address, bytes);
    found = *newest_of(location);

    races_note(address, bytes, ACCESS_ATOMIC_READ, place);
    note_read(&found, place);
    if (!next(found.value, &value, context)) {
        location->seen[execution.current] = location->first + location->count - 1U;
        location->reads = hs_wrap_add(location->reads,
                                      engine_event(EVENT_EXCHANGE_FAILED, address, found.value, 0, found.event, place));
        return found.value;
    }
    races_note(address, bytes, ACCESS_ATOMIC_WRITE, place);
    end_locations(address, bytes, address);
    if (acquires) {
        order_acquire(address);
        learn(&found);
    }
    if (releases)
        order_release(address);
    append(location, value, &found, releases ? &engine_self()->knows : NULL, place, EVENT_UPDATE);
    memory_write_quietly(address, bytes, value);
    if (releases)
        begin_epoch();
    return found.value;
}

void memory_fence(const void *place)
{
    struct thread *self = engine_self();

    memory_drain();
    clock_join(&self->knows.seen, &execution.fences_seen);
    clock_join(&execution.fences_seen, &self->knows.seen);
    execution.last_fence = engine_event(EVENT_FENCE, NULL, 0, 0, execution.last_fence, place);
    begin_epoch();
}

/* ---- plain accesses ---------------------------------------------------------------------------------------------- */

void memory_read_plain(const volatile void *address, size_t bytes, const void *place)
{
    races_note(address, bytes, ACCESS_PLAIN_READ, place);
    if (find_waiting(address, bytes) != NULL)
        memory_drain();
}

void memory_write_plain(volatile void *address, size_t bytes, const void *place)
{
    races_note(address, bytes, ACCESS_PLAIN_WRITE, place);
    if (find_waiting(address, bytes) != NULL)
        memory_drain();
    end_locations(address, bytes, NULL);
    world_note_write(address, bytes);
}

/* ---- mutexes ----------------------------------------------------------------------------------------------------- */

struct handover *memory_handover(const struct hs_mutex *mutex)
{
    size_t index = (size_t)(hs_wrap_multiply((uintptr_t)mutex >> 3, UINT64_C(0x9E3779B97F4A7C15)) >> 50) % MUTEXES;

    while (handover_owners[index] != mutex && handover_owners[index] != NULL)
        index = (index + 1) % MUTEXES;
    handover_owners[index] = mutex;
    if (handovers[index].generation != generation)
        handovers[index] = (struct handover){.generation = generation, .holder = -1};
    return &handovers[index];
}
