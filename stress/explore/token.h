/*
 * token: the name of one execution, short enough to be pasted, and the same in every process.
 *
 *     <program>:<model>:<answers>:<check>
 *
 * The program is the name of a scenario (scenarios.h) or a program's text; the model sc, tso or c11, with "+step" where
 * all invariants were looked at at every point, so that nothing else has to be said to replay it; answers have commas
 * between them: thread, letter of the question's kind, step, dot, answer, as in 1t34.2: before its 34th operation
 * thread 1 makes way for thread 2. The check tells a mistyped token from a true one.
 */
#ifndef EXPLORE_TOKEN_H
#define EXPLORE_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

#include "memory.h"
#include "search.h"

/* As many answers as there may be. */
enum { TOKEN_BYTES = 64 * 1024 };

struct token {
    char program[1024]; /* name or text */
    enum memory_model model;
    bool checks_each_point;
    struct answers answers;
};

void token_print(const struct token *token, char *text, size_t bytes);

/* False where the text is no token, or not the one that was printed. */
bool token_parse(struct token *token, const char *text);

const char *token_model_name(enum memory_model model);
bool token_parse_model(const char *name, enum memory_model *model);

#endif
