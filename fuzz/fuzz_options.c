/*
 * fuzz_options: any text as HEAPSTER_OPTIONS.
 *
 * Goal: what is right is set, what is wrong is ignored and said once. Oracle: a reader of its own, written from the
 * table in the README and from nothing else; after both the options must be the same, and as many lines on standard
 * error as there were bad items, each of the fixed form.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "heapster.h"
#include "options.h"
#include "target.h"

static const struct hs_options standard = {
    .strategy = HEAPSTER_FIRST_FIT,
    .mmap_threshold = HS_MMAP_THRESHOLD_DEFAULT,
    .decay_ms = HS_DECAY_MS_DEFAULT,
    .abort_on_misuse = true,
    .large_cache = true,
    .cache = true,
};

/* What is to come of an item. */
struct wish {
    uint8_t strategy;
    size_t mmap_threshold;
    unsigned arenas;
    uint64_t decay_ms, check_every;
    bool fill, abort_on_misuse, stats, large_cache, hugepages, populate, cache;
    unsigned bad;
};

/* ---- the reader ----------------------------------------------------------------------------------------------------
 */

static bool number_of(const char *value, bool has_unit, unsigned long long most, unsigned long long *out)
{
    unsigned long long factor = 1;
    size_t digits = strspn(value, "0123456789");
    char *rest;

    if (digits == 0)
        return false;
    errno = 0;
    *out = strtoull(value, &rest, 10);
    if (errno != 0)
        return false;
    if (has_unit && *rest != '\0' && strchr("KkMmGg", *rest) != NULL) {
        int letter = tolower((unsigned char)*rest++);

        factor = letter == 'k' ? 1024ULL : letter == 'm' ? 1048576ULL : 1073741824ULL;
    }
    if (*rest != '\0' || *out > most / factor)
        return false;
    *out *= factor;
    return true;
}

static bool switch_of(const char *value, bool *out)
{
    if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
        return false;
    *out = value[1] == 'n';
    return true;
}

static bool wish_strategy(const char *value, struct wish *wish)
{
    static const char *const names = "first next  best  worst ";

    for (uint8_t i = 0; i < 4; i++)
        if (strlen(value) == strcspn(names + (size_t)i * 6, " ") &&
            strncmp(value, names + (size_t)i * 6, strlen(value)) == 0) {
            wish->strategy = i;
            return true;
        }
    return false;
}

static bool wish_number(const char *name, const char *value, struct wish *wish)
{
    unsigned long long number;

    if (strcmp(name, "arenas") == 0) {
        if (!number_of(value, false, HS_ARENAS_MAX, &number) || number == 0)
            return false;
        wish->arenas = (unsigned)number;
    } else if (strcmp(name, "mmap_threshold") == 0) {
        if (!number_of(value, true, SIZE_MAX, &number))
            return false;
        wish->mmap_threshold = number < HS_MMAP_THRESHOLD_LEAST ? HS_MMAP_THRESHOLD_LEAST : (size_t)number;
    } else {
        if (!number_of(value, false, UINT32_MAX, &number))
            return false;
        *(strcmp(name, "decay_ms") == 0 ? &wish->decay_ms : &wish->check_every) = number;
    }
    return true;
}

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names != NULL && strcmp(name, *names) != 0)
        names++;
    return *names != NULL;
}

static bool wish_item(char *item, struct wish *wish)
{
    static const char *const numbers[] = {"arenas", "mmap_threshold", "decay_ms", "check", NULL};
    struct {
        const char *name;
        bool *value;
    } switches[] = {{"fill", &wish->fill},         {"abort", &wish->abort_on_misuse},
                    {"cache", &wish->cache},       {"hugepages", &wish->hugepages},
                    {"populate", &wish->populate}, {"large_cache", &wish->large_cache}};
    char *equals = strchr(item, '=');
    const char *value;

    if (equals == NULL)
        return false;
    *equals = '\0';
    value = equals + 1;
    if (strcmp(item, "strategy") == 0)
        return wish_strategy(value, wish);
    if (is_one_of(item, numbers))
        return wish_number(item, value, wish);
    if (strcmp(item, "stats") == 0) {
        wish->stats |= strcmp(value, "exit") == 0;
        return strcmp(value, "exit") == 0;
    }
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++)
        if (strcmp(item, switches[i].name) == 0)
            return switch_of(value, switches[i].value);
    return false;
}

static struct wish read_wish(const char *text)
{
    struct wish wish = {.mmap_threshold = HS_MMAP_THRESHOLD_DEFAULT,
                        .decay_ms = HS_DECAY_MS_DEFAULT,
                        .abort_on_misuse = true,
                        .large_cache = true,
                        .cache = true};
    char *copy = strdup(text), *rest = copy, *item;

    while ((item = strsep(&rest, ",")) != NULL)
        if (*item != '\0' && !wish_item(item, &wish))
            wish.bad++;
    free(copy);
    return wish;
}

/* ---- the two side by side ------------------------------------------------------------------------------------------
 */

static int caught = -1; /* takes the place of standard error */

/* An engine that is told to end says so there, too, in a thread of its own. */
static bool is_engines(const char *line)
{
    return strncmp(line, "INFO: signal received", 21) == 0;
}

static unsigned count_reports(void)
{
    static char lines[1 << 20];
    unsigned count = 0;
    ssize_t bytes = pread(caught, lines, sizeof lines - 1, 0);
    char *rest = lines, *line;

    lines[bytes > 0 ? bytes : 0] = '\0';
    while ((line = strsep(&rest, "\n")) != NULL) {
        if (*line == '\0' && rest == NULL)
            break;
        if (is_engines(line))
            continue;
        if ((strncmp(line, "heapster: bad value of an option: ", 34) != 0 &&
             strncmp(line, "heapster: unknown option: ", 26) != 0) ||
            strstr(line, " (ignored, expected ") == NULL || line[strlen(line) - 1] != ')')
            fuzz_fail("a bad option was reported as: %s", line);
        count++;
    }
    return count;
}

static bool is_as_wished(const struct wish *wish)
{
    return hs_options.strategy == wish->strategy && hs_options.mmap_threshold == wish->mmap_threshold &&
           hs_options.arenas == wish->arenas && hs_options.decay_ms == wish->decay_ms &&
           hs_options.check_every == wish->check_every && hs_options.fill == wish->fill &&
           hs_options.abort_on_misuse == wish->abort_on_misuse && hs_options.stats_at_exit == wish->stats &&
           hs_options.large_cache == wish->large_cache && hs_options.hugepages == wish->hugepages &&
           hs_options.populate == wish->populate && hs_options.cache == wish->cache;
}

static void run_text(const char *text)
{
    struct wish wish = read_wish(text);
    int saved = dup(STDERR_FILENO);
    unsigned reports;

    hs_options = standard;
    if (ftruncate(caught, 0) != 0 || lseek(caught, 0, SEEK_SET) != 0 || dup2(caught, STDERR_FILENO) < 0)
        fuzz_fail("cannot catch standard error");
    hs_options_parse(text);
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
    reports = count_reports();
    if (!is_as_wished(&wish))
        fuzz_fail("the options are not what was asked for: %s", text);
    if (reports != wish.bad)
        fuzz_fail("%u lines for %u bad items: %s", reports, wish.bad, text);
    hs_options = standard;
}

static void prepare(void)
{
    caught = memfd_create("reports", 0);
    if (caught < 0)
        exit(1);
}

/* Names, values, and numbers around every bound. */
static const char *const words[] = {"strategy=",   "first",
                                    "next",        "best",
                                    "worst",       "arenas=",
                                    "cache=",      "large_cache=",
                                    "hugepages=",  "on",
                                    "off",         "populate=",
                                    "fill=",       "abort=",
                                    "stats=",      "mmap_threshold=",
                                    "exit",        "check=",
                                    ",",           "=",
                                    "K",           "m",
                                    "G",           "decay_ms=",
                                    "0",           "1",
                                    "254",         "255",
                                    "65535",       "65536",
                                    "4294967295",  "4294967296",
                                    "17179869183", "64k",
                                    "16384",       "9223372036",
                                    "8589934",     "184467440737",
                                    "09551615",    "18446744073709551616",
                                    NULL};

const struct fuzz_target fuzz_target = {
    .name = "options",
    .prepare = prepare,
    .run_text = run_text,
    .words = words,
    .why_no_c = "the input is the text of HEAPSTER_OPTIONS, for the parser; --print shows it",
};
