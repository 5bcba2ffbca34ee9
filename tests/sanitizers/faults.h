/*
 * faults: small programs with one mistake each, and small programs with none, which some tool may take for one. A case
 * is a function; in a wrong one the line that the tool has to name ends in the comment "fault".
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <stddef.h>

/* A value that no compiler can foresee. */
size_t unforeseen(size_t number);

/* Decides by a value, which has to be initialised for that. */
void decide_by(const char *byte);

/* Ends the program unless `condition` holds: the allocator did something else than it was to. */
void require(int condition, const char *text);

struct fault_case {
    const char *name;
    void (*body)(void);
};

/* Each ends with a case without a name. */
extern const struct fault_case block_cases[];
extern const struct fault_case arena_cases[];
extern const struct fault_case thread_cases[];

#endif
