#include "life_variants.h"

const struct stress_life_text stress_life_texts[STRESS_LIFE_VARIANTS] = {
    [STRESS_LIFE_RETURN] = {"return", "threads are joined, main returns", true},
    [STRESS_LIFE_BEFORE_MAIN] = {"before-main", "threads start in a constructor, main joins them and returns", true},
    [STRESS_LIFE_OTHERS_GO_ON] = {"others-go-on", "main returns while detached threads allocate", false},
    [STRESS_LIFE_MAIN_ENDS_FIRST] = {"main-ends-first", "main ends by pthread_exit, the others some time later", true},
    [STRESS_LIFE_EXIT_IN_THREAD] = {"exit-in-thread", "a thread calls exit while main and others allocate", false},
    [STRESS_LIFE_EXIT_IN_DESTRUCTOR] = {"exit-in-destructor",
                                        "a destructor of thread-specific data calls exit while others allocate", false},
    [STRESS_LIFE_QUICK_EXIT] = {"quick-exit", "main calls quick_exit while others allocate", false},
    [STRESS_LIFE_FORKED_EXIT] = {"forked-exit", "a child forked while others allocate runs the handlers, too", true},
    [STRESS_LIFE_EXEC] = {"exec", "a thread replaces the program by itself while others allocate", true},
};
