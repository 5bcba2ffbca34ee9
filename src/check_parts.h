/*
 * check_parts: what the parts of the walker share: who is told of a broken invariant, and how one condition is held
 * against one number.
 */
#ifndef HS_CHECK_PARTS_H
#define HS_CHECK_PARTS_H

#include "check.h"
#include "compiler.h"

struct hs_checker {
    enum heapster_check_mode mode;
    heapster_report *report;
    void *context;
    size_t broken;
    uint64_t seen_in_depots; /* blocks; where it is none, none has to be found once more */
};

void hs_check_report(struct hs_checker *checker, const char *invariant, const void *address, const char *text);

/* One condition, one number. Inline: nearly all of the walker is conditions that hold. */
static inline bool hs_check_expect(struct hs_checker *checker, bool holds, const char *invariant, const void *address,
                                   const char *text)
{
    if (HS_UNLIKELY(!holds))
        hs_check_report(checker, invariant, address, text);
    return holds;
}

/*
 * At rest, under the heap's lock: every block that a cache, an outbox, an inbox or a depot holds says so, and is marked
 * SEEN, so that a second place that holds it is noticed, and so is one that no place holds; and afterwards as it was.
 */
void hs_check_see_caches(struct hs_checker *checker);
void hs_check_unsee_caches(struct hs_checker *checker);

#endif
