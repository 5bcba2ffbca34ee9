#include "names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "explored.h"
#include "heap.h"
#include "oracle.h"
#include "program.h"
#include "symbols.h"
#include "world.h"

enum { OWNERS_MOST = 256, NAME_BYTES = 64 };

/* The tag of a block, and the slots that had it, a bit each. */
struct owner {
    uint64_t tag;
    uint16_t slots;
};

static struct owner owners[OWNERS_MOST];
static unsigned owner_count;

static void add(char *text, size_t bytes, const char *more)
{
    size_t length = strlen(text);

    (void)snprintf(text + length, bytes - length, "%s", more);
}

/* ---- slots ------------------------------------------------------------------------------------------------------- */

static struct owner *owner_of(uint64_t tag)
{
    for (unsigned i = 0; i < owner_count; i++)
        if (owners[i].tag == tag)
            return &owners[i];
    return NULL;
}

static void note_owner(uint64_t payload, unsigned slot)
{
    struct owner *owner = owner_of(payload - HS_TAG_BYTES);

    if (owner == NULL && owner_count == OWNERS_MOST)
        return;
    if (owner == NULL) {
        owner = &owners[owner_count++];
        *owner = (struct owner){.tag = payload - HS_TAG_BYTES};
    }
    owner->slots |= (uint16_t)(1U << slot);
}

void names_prepare(void)
{
    size_t count;
    const struct event *events = engine_events(&count);

    owner_count = 0;
    for (unsigned slot = 0; slot < SLOTS; slot++)
        if (oracle_payload_at_start(slot) != NULL)
            note_owner(world_name(oracle_payload_at_start(slot)), slot);
    for (size_t i = 0; i < count; i++) {
        unsigned long slot;

        if ((events[i].kind != EVENT_CALL && events[i].kind != EVENT_RETURN) || events[i].name == 0)
            continue;
        slot = strtoul(events[i].text + 1, NULL, 10);
        if (slot < SLOTS)
            note_owner(events[i].name, (unsigned)slot);
    }
}

/* "slot 1", or "slot 1/3" where one had it after the other; false where none had. */
static bool add_slots(uint64_t tag, char *text, size_t bytes)
{
    const struct owner *owner = owner_of(tag);
    const char *separator = "slot ";

    for (unsigned slot = 0; owner != NULL && slot < SLOTS; slot++) {
        char number[NAME_BYTES];

        if (!(owner->slots >> slot & 1))
            continue;
        (void)snprintf(number, sizeof number, "%s%u", separator, slot);
        add(text, bytes, number);
        separator = "/";
    }
    return owner != NULL;
}

/* ---- where an address is ----------------------------------------------------------------------------------------- */

static const char *const spans[] = {"break", "maps", "variables"};

void names_add_offset(uint64_t name, char *text, size_t bytes)
{
    char place[NAME_BYTES];

    (void)snprintf(place, sizeof place, "%s+%#llx", spans[name >> 32], (unsigned long long)(name & UINT32_MAX));
    add(text, bytes, place);
}

struct field {
    const char *name;
    size_t offset, bytes;
};

#define FIELD(name)                                                                                                    \
    {                                                                                                                  \
#name, offsetof(struct hs_arena, name), sizeof(((struct hs_arena *)NULL)->name)                                \
    }

static const struct field fields[] = {
    FIELD(lock),     FIELD(bounds),       FIELD(reclaim),  FIELD(inbox),       FIELD(inbox_blocks), FIELD(inbox_bytes),
    FIELD(nonempty), FIELD(purge_due_ms), FIELD(strategy), FIELD(cursor_list), FIELD(draining),
};

struct look {
    uintptr_t address;
    char name[NAME_BYTES];
};

static void name_field(const struct hs_arena *arena, size_t offset, struct look *look)
{
    if (offset >= offsetof(struct hs_arena, lists)) {
        size_t in_lists = offset - offsetof(struct hs_arena, lists), list = in_lists / sizeof *arena->lists;

        size_t in_list = in_lists % sizeof *arena->lists;

        if (in_list == offsetof(struct hs_freelist, lock))
            (void)snprintf(look->name, sizeof look->name, "arena %u list %zu", arena->number, list);
        else
            (void)snprintf(look->name, sizeof look->name, "arena %u list %zu+%#zx", arena->number, list, in_list);
        return;
    }
    for (unsigned i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (offset - fields[i].offset >= fields[i].bytes)
            continue;
        if (offset == fields[i].offset)
            (void)snprintf(look->name, sizeof look->name, "arena %u %s", arena->number, fields[i].name);
        else
            (void)snprintf(look->name, sizeof look->name, "arena %u %s+%#zx", arena->number, fields[i].name,
                           offset - fields[i].offset);
        return;
    }
    (void)snprintf(look->name, sizeof look->name, "arena %u+%#zx", arena->number, offset);
}

static bool look_in_arena(struct hs_arena *arena, void *context)
{
    struct look *look = context;
    unsigned number = 0;

    if (look->address - (uintptr_t)arena < sizeof *arena)
        name_field(arena, look->address - (uintptr_t)arena, look);
    /* As many as there may be: what the execution has left behind need not be sound. */
    for (const struct hs_region *region = arena->regions;
         look->name[0] == '\0' && world_holds(region) && world_is_mapped(region) && number < 64;
         region = region->next, number++)
        if (look->address - (uintptr_t)region < sizeof *region)
            (void)snprintf(look->name, sizeof look->name, "arena %u region %u%s", arena->number, number,
                           look->address == (uintptr_t)&region->bytes ? " bytes" : "");
    return look->name[0] == '\0';
}

static void look_in_caches(struct look *look)
{
    for (unsigned i = 0; i < execution.thread_count; i++) {
        uintptr_t cache = (uintptr_t)execution.threads[i].self.cache;

        if (look->address - cache < sizeof(struct hs_cache))
            (void)snprintf(look->name, sizeof look->name, "cache of thread %u+%#llx", i + 1,
                           (unsigned long long)(look->address - cache));
    }
}

static void look_for_symbol(struct look *look)
{
    struct symbol symbol;

    if (!symbols_find((const void *)look->address, &symbol))
        return;
    if (symbol.offset == 0)
        (void)snprintf(look->name, sizeof look->name, "%.40s", symbol.name);
    else
        (void)snprintf(look->name, sizeof look->name, "%.40s+%#zx", symbol.name, symbol.offset);
}

/* The library is asked as it is asked where nothing is scheduled. */
static void look_around(struct look *look)
{
    bool was_quiet = execution.is_quiet;

    execution.is_quiet = true;
    (void)hs_heap_for_each_table_arena(look_in_arena, look);
    execution.is_quiet = was_quiet;
    if (look->name[0] == '\0')
        look_in_caches(look);
    if (look->name[0] == '\0')
        look_for_symbol(look);
}

/* ---- tags -------------------------------------------------------------------------------------------------------- */

static const struct tag_field {
    enum subject subject;
    const char *name;
} tag_fields[HS_TAG_BYTES] = {
    [offsetof(struct hs_block, extent)] = {SUBJECT_EXTENT, "extent"},
    [offsetof(struct hs_block, check)] = {SUBJECT_CHECK, "check"},
    [offsetof(struct hs_block, state)] = {SUBJECT_STATE, "state"},
    [offsetof(struct hs_block, left)] = {SUBJECT_LEFT, "left"},
};

/* A tag ends where a payload begins, which is aligned; a run has a word behind its tag. */
static enum subject add_tag(uint64_t name, char *text, size_t bytes)
{
    uint64_t offset = name % HS_ALIGNMENT;
    bool is_in_tag = offset >= HS_TAG_BYTES;
    const struct tag_field *field = &tag_fields[is_in_tag ? offset - HS_TAG_BYTES : 0];
    uint64_t tag = is_in_tag ? name - (offset - HS_TAG_BYTES) : name - offset - HS_TAG_BYTES;

    if (!add_slots(tag, text, bytes)) {
        add(text, bytes, "block ");
        names_add_offset(tag, text, bytes);
    }
    add(text, bytes, " ");
    add(text, bytes, !is_in_tag ? "end of the run" : field->name != NULL ? field->name : "tag");
    return is_in_tag ? field->subject : SUBJECT_NUMBER;
}

enum subject names_add_location(uint64_t name, bool is_tag, char *text, size_t bytes)
{
    struct look look = {.address = (uintptr_t)world_address(name)};

    if (is_tag)
        return add_tag(name, text, bytes);
    look_around(&look);
    if (look.name[0] != '\0') {
        add(text, bytes, look.name);
    } else if (owner_of(name - HS_TAG_BYTES) != NULL) {
        add(text, bytes, "payload of ");
        (void)add_slots(name - HS_TAG_BYTES, text, bytes);
    } else {
        names_add_offset(name, text, bytes);
    }
    return SUBJECT_NUMBER;
}

void names_add_address(uint64_t name, char *text, size_t bytes)
{
    uint64_t payload = name - name % HS_ALIGNMENT;
    bool is_tag = name % HS_ALIGNMENT >= HS_TAG_BYTES && owner_of(payload + HS_TAG_BYTES) != NULL;

    (void)names_add_location(name, is_tag, text, bytes);
}

void names_add_lock(uint64_t name, char *text, size_t bytes)
{
    char lock[NAME_BYTES];

    backend_name_lock((const struct hs_mutex *)(uintptr_t)world_address(name), lock, sizeof lock);
    /* One that the allocator does not tell of. */
    if (strncmp(lock, "lock 0x", strlen("lock 0x")) == 0)
        (void)names_add_location(name, false, text, bytes);
    else
        add(text, bytes, lock);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void add_number(uint64_t value, char *text, size_t bytes)
{
    const void *pointer = (const void *)(uintptr_t)value;
    char number[NAME_BYTES];

    if (value > UINT32_MAX && world_holds(pointer)) {
        /* As often as not the payload of a block. */
        if (!add_slots(world_name(pointer) - HS_TAG_BYTES, text, bytes))
            names_add_offset(world_name(pointer), text, bytes);
        return;
    }
    if (value < 10000)
        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)value);
    else
        (void)snprintf(number, sizeof number, "%#llx", (unsigned long long)value);
    add(text, bytes, number);
}

void names_add_value(enum subject subject, uint64_t value, char *text, size_t bytes)
{
    char words[NAME_BYTES];

    switch (subject) {
    case SUBJECT_STATE:
        if (hs_state_is_free((uint8_t)value))
            (void)snprintf(words, sizeof words, "free on list %u", hs_state_list((uint8_t)value));
        else
            (void)snprintf(words, sizeof words, "%s (%#llx)", hs_state_name((uint8_t)value), (unsigned long long)value);
        break;
    case SUBJECT_LEFT:
        if (value == 0)
            (void)snprintf(words, sizeof words, "left neighbour not free");
        else
            (void)snprintf(words, sizeof words, "left neighbour free on list %llu", (unsigned long long)value - 1);
        break;
    case SUBJECT_EXTENT:
        (void)snprintf(words, sizeof words, "%llu bytes of arena %llu",
                       ((unsigned long long)value & 0xFFFFFF) * HS_ALIGNMENT, (unsigned long long)(value >> 24));
        break;
    case SUBJECT_CHECK:
        (void)snprintf(words, sizeof words, "%#06llx", (unsigned long long)value);
        break;
    default:
        add_number(value, text, bytes);
        return;
    }
    add(text, bytes, words);
}
