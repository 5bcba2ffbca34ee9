/* life_variants: the lives that heapster-stress-life can lead, for the program and for the scenario that starts it. */
#ifndef STRESS_LIFE_VARIANTS_H
#define STRESS_LIFE_VARIANTS_H

#include <stdbool.h>

#define STRESS_LIFE_PROGRAM "heapster-stress-life"

/* The file descriptor by which the program shares its struct kit_result with whoever started it, so that the reason of
 * a violation comes to light there; or closed. */
enum { STRESS_LIFE_RESULT_FILE = 100 };

/* How the program ends: 1 and 2 are those of heapster-stress. */
enum stress_life_status {
    STRESS_LIFE_GOOD,
    STRESS_LIFE_VIOLATION,
    STRESS_LIFE_USAGE,
    STRESS_LIFE_UNFINISHED /* what should run at the end did not */
};

enum stress_life_variant {
    STRESS_LIFE_RETURN,
    STRESS_LIFE_BEFORE_MAIN,
    STRESS_LIFE_OTHERS_GO_ON,
    STRESS_LIFE_MAIN_ENDS_FIRST,
    STRESS_LIFE_EXIT_IN_THREAD,
    STRESS_LIFE_EXIT_IN_DESTRUCTOR,
    STRESS_LIFE_QUICK_EXIT,
    STRESS_LIFE_FORKED_EXIT,
    STRESS_LIFE_EXEC,
    STRESS_LIFE_VARIANTS
};

struct stress_life_text {
    const char *name, *summary;
    bool ends_alone; /* no other thread lives when the last handler runs */
};

extern const struct stress_life_text stress_life_texts[STRESS_LIFE_VARIANTS];

#endif
