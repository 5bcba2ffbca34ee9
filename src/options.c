#include "options.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heapster.h"
#include "os.h"
#include "report.h"

struct hs_options hs_options = {
    .strategy = HEAPSTER_FIRST_FIT,
    .mmap_threshold = HS_MMAP_THRESHOLD_DEFAULT,
    .arenas = 0,
    .decay_ms = HS_DECAY_MS_DEFAULT,
    .abort_on_misuse = true,
    .large_cache = true,
    .cache = true,
};

struct word {
    const char *bytes;
    size_t length;
};

static bool word_is(struct word word, const char *string)
{
    return strlen(string) == word.length && memcmp(word.bytes, string, word.length) == 0;
}

/* The index of `word` among `names`, or -1. */
static int index_among(struct word word, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (word_is(word, names[i]))
            return i;
    return -1;
}

/* A decimal number with an optional K, M or G behind it where `units` allows one. */
static bool read_number(struct word word, bool units, uint64_t largest, uint64_t *out)
{
    uint64_t number = 0, unit = 1;
    size_t digits = word.length;

    if (digits > 1 && units) {
        char last = word.bytes[digits - 1];

        unit = last == 'K' || last == 'k'   ? UINT64_C(1) << 10
               : last == 'M' || last == 'm' ? UINT64_C(1) << 20
               : last == 'G' || last == 'g' ? UINT64_C(1) << 30
                                            : 1;
        digits -= unit != 1;
    }
    if (digits == 0)
        return false;
    for (size_t i = 0; i < digits; i++) {
        uint64_t digit = (uint64_t)((unsigned char)word.bytes[i] - '0'); /* what is below '0' becomes large */

        if (digit > 9 || number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    if (number > largest / unit)
        return false;
    *out = number * unit;
    return true;
}

static bool read_switch(struct word value, _Atomic bool *out)
{
    static const char *const names[] = {"off", "on"};
    int chosen = index_among(value, names, 2);

    if (chosen >= 0)
        hs_store_relaxed(out, chosen == 1);
    return chosen >= 0;
}

static bool set_strategy(struct word value)
{
    static const char *const names[] = {"first", "next", "best", "worst"};
    int chosen = index_among(value, names, 4);

    if (chosen >= 0)
        hs_store_relaxed(&hs_options.strategy, (uint8_t)chosen);
    return chosen >= 0;
}

static bool set_arenas(struct word value)
{
    uint64_t number;

    if (!read_number(value, false, HS_ARENAS_MAX, &number) || number == 0)
        return false;
    hs_store_relaxed(&hs_options.arenas, (unsigned)number);
    return true;
}

void hs_options_set_mmap_threshold(size_t bytes)
{
    hs_store_relaxed(&hs_options.mmap_threshold, bytes > HS_MMAP_THRESHOLD_LEAST ? bytes : HS_MMAP_THRESHOLD_LEAST);
}

static bool set_mmap_threshold(struct word value)
{
    uint64_t bytes;

    if (!read_number(value, true, SIZE_MAX, &bytes))
        return false;
    hs_options_set_mmap_threshold((size_t)bytes);
    return true;
}

static bool set_decay(struct word value)
{
    uint64_t milliseconds;

    if (!read_number(value, false, UINT32_MAX, &milliseconds))
        return false;
    hs_store_relaxed(&hs_options.decay_ms, milliseconds);
    return true;
}

static bool set_stats(struct word value)
{
    if (!word_is(value, "exit"))
        return false;
    hs_store_relaxed(&hs_options.stats_at_exit, true);
    return true;
}

static bool set_check(struct word value)
{
    uint64_t number;

    if (!read_number(value, false, UINT32_MAX, &number))
        return false;
    hs_store_relaxed(&hs_options.check_every, (uint32_t)number);
    return true;
}

static bool set_fill(struct word value)
{
    return read_switch(value, &hs_options.fill);
}

static bool set_abort(struct word value)
{
    return read_switch(value, &hs_options.abort_on_misuse);
}

static bool set_cache(struct word value)
{
    return read_switch(value, &hs_options.cache);
}

static bool set_large_cache(struct word value)
{
    return read_switch(value, &hs_options.large_cache);
}

static bool set_hugepages(struct word value)
{
    return read_switch(value, &hs_options.hugepages);
}

static bool set_populate(struct word value)
{
    return read_switch(value, &hs_options.populate);
}

static const struct {
    const char *name;
    const char *expected;
    bool (*set)(struct word value);
} table[] = {
    {"strategy", "first, next, best or worst", set_strategy},
    {"arenas", "1 to 254", set_arenas},
    {"cache", "on or off", set_cache},
    {"large_cache", "on or off", set_large_cache},
    {"hugepages", "on or off", set_hugepages},
    {"populate", "on or off", set_populate},
    {"mmap_threshold", "a size", set_mmap_threshold},
    {"decay_ms", "milliseconds", set_decay},
    {"fill", "on or off", set_fill},
    {"abort", "on or off", set_abort},
    {"stats", "exit", set_stats},
    {"check", "a number", set_check},
};

static void apply_item(struct word item)
{
    const char *equals = memchr(item.bytes, '=', item.length);
    struct word name = item, value = {NULL, 0};

    if (equals != NULL) {
        name.length = (size_t)(equals - item.bytes);
        value.bytes = equals + 1;
        value.length = item.length - name.length - 1;
    }
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (!word_is(name, table[i].name))
            continue;
        if (equals == NULL || !table[i].set(value))
            hs_report_option("bad value of an option", item.bytes, item.length, table[i].expected);
        return;
    }
    hs_report_option("unknown option", item.bytes, item.length, "a name from the README");
}

void hs_options_parse(const char *text)
{
    if (text == NULL)
        return;
    while (*text != '\0') {
        struct word item = {text, strcspn(text, ",")};

        if (item.length > 0)
            apply_item(item);
        text += item.length;
        text += *text == ',';
    }
}

bool hs_options_read_environment(void)
{
    static bool was_read;

    if (was_read || environ == NULL)
        return false;
    was_read = true;
    if (!hs_os_is_privileged())
        hs_options_parse(getenv("HEAPSTER_OPTIONS"));
    return true;
}
