/*
 * story: what happened in a recorded execution, event by event, in words; the timeline and the page print it.
 */
#ifndef EXPLORE_STORY_H
#define EXPLORE_STORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "places.h"
#include "program.h"
#include "uses.h"

enum { STORY_WORDS = 96 };

struct line {
    unsigned thread;
    enum event_kind kind;
    const char *operation;       /* "load", "lock" */
    char location[STORY_WORDS];  /* what it is about, or the call; "" for a fence */
    char value[STORY_WORDS];     /* "" where there is none; of a store what it stores, after an arrow behind what was */
    char older[3 * STORY_WORDS]; /* of a load that does not see the newest store: whose it sees, and what is newest */
    const struct place *place;   /* NULL: none */
    unsigned folded;             /* of the first of several dull ones (uses.h) in a row, of one thread: how many */
    bool is_switch;              /* another thread went before, */
    bool is_preemption;          /* which could have gone on, */
    char why[2 * STORY_WORDS];   /* and stopped for this reason */
};

struct story {
    const struct event *events;
    size_t count, next;
    size_t folded_up_to;
    struct uses uses;
};

/* The story of the last execution that was recorded, from its begin: no longer than what is recorded of it, since an
 * execution that goes on for ever ends before (STEPS_MOST). */
void story_begin(struct story *story, const char *failure);
void story_end(struct story *story);
bool story_next(struct story *story, struct line *line);

/* "load", "lock". */
const char *story_operation(enum event_kind kind);

/* An operation of the program as C says it: "slot 1 = malloc(56)". */
void story_say_op(const struct op *op, char *text, size_t bytes);

/* The operations, with commas. */
void story_say_ops(const struct ops *ops, char *text, size_t bytes);

/* What is known of the addresses that the failure mentions, one by one: from `*at` on, which moves. False where there
 * is none left. "0x7f0012345678: freelist.c:120, hs_freelist_link_locked". */
bool story_explain(const char **at, char *text, size_t bytes);

/* Where the execution stood as it failed: a thread a line, in its call, and what it waits for. False from the first
 * thread on that there is not. */
bool story_say_thread(const struct story *story, unsigned thread, char *text, size_t bytes);

#endif
