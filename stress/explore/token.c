#include "token.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler.h"

/* By enum choice_kind. */
static const char letters[] = "twsfkd";

static const char *const models[] = {"sc", "tso", "c11"};
static const char step_suffix[] = "+step";

const char *token_model_name(enum memory_model model)
{
    return models[model];
}

bool token_parse_model(const char *name, enum memory_model *model)
{
    for (unsigned i = 0; i < sizeof models / sizeof *models; i++) {
        if (strcmp(name, models[i]) == 0) {
            *model = (enum memory_model)i;
            return true;
        }
    }
    return false;
}

static unsigned check_of(const char *text, size_t length)
{
    uint32_t hash = 2166136261U;

    for (size_t i = 0; i < length; i++)
        hash = (uint32_t)(hs_wrap_multiply(hash ^ (unsigned char)text[i], 16777619U) & UINT32_MAX);
    return (hash ^ hash >> 16) & 0xFFFF;
}

void token_print(const struct token *token, char *text, size_t bytes)
{
    size_t length = (size_t)snprintf(text, bytes, "%s:%s%s:", token->program, models[token->model],
                                     token->checks_each_point ? step_suffix : "");

    for (unsigned i = 0; i < token->answers.count && length < bytes; i++) {
        const struct answer *answer = &token->answers.list[i];

        length += (size_t)snprintf(text + length, bytes - length, "%s%u%c%u.%u", i == 0 ? "" : ",", answer->thread + 1U,
                                   letters[answer->kind], answer->step, answer->answer);
    }
    if (length < bytes)
        (void)snprintf(text + length, bytes - length, ":%04x", check_of(text, length));
}

static bool read_number(const char **at, unsigned long most, unsigned long *number)
{
    char *end;

    if (**at < '0' || **at > '9')
        return false;
    *number = strtoul(*at, &end, 10);
    *at = end;
    return *number <= most;
}

static bool read_answer(const char **at, struct answer *answer)
{
    unsigned long thread, step, value;
    const char *letter;

    if (!read_number(at, THREADS_MOST, &thread) || thread == 0 || **at == '\0')
        return false;
    letter = strchr(letters, **at);
    if (letter == NULL)
        return false;
    ++*at;
    if (!read_number(at, UINT32_MAX, &step) || **at != '.')
        return false;
    ++*at;
    if (!read_number(at, UINT16_MAX, &value))
        return false;
    *answer = (struct answer){(uint8_t)(thread - 1), (uint8_t)(letter - letters), (uint16_t)value, (uint32_t)step};
    return true;
}

static bool read_answers(const char *at, const char *end, struct answers *answers)
{
    answers->count = 0;
    while (at < end) {
        if (answers->count == ANSWERS_MOST || !read_answer(&at, &answers->list[answers->count]))
            return false;
        answers->count++;
        if (at < end && *at++ != ',')
            return false;
    }
    return at == end;
}

/* What stands between the first two colons. */
static bool read_model(struct token *token, const char *at, const char *end)
{
    char name[16] = "", *plus;

    if (end - at >= (ptrdiff_t)sizeof name)
        return false;
    memcpy(name, at, (size_t)(end - at));
    plus = strchr(name, '+');
    token->checks_each_point = plus != NULL;
    if (plus != NULL && strcmp(plus, step_suffix) != 0)
        return false;
    if (plus != NULL)
        *plus = '\0';
    return token_parse_model(name, &token->model);
}

bool token_parse(struct token *token, const char *text)
{
    const char *model = strchr(text, ':'), *answers = model == NULL ? NULL : strchr(model + 1, ':');
    const char *check = answers == NULL ? NULL : strchr(answers + 1, ':');
    char expected[8];

    if (check == NULL || (size_t)(model - text) >= sizeof token->program)
        return false;
    memcpy(token->program, text, (size_t)(model - text));
    token->program[model - text] = '\0';
    (void)snprintf(expected, sizeof expected, "%04x", check_of(text, (size_t)(check - text)));
    return strcmp(expected, check + 1) == 0 && read_model(token, model + 1, answers) &&
           read_answers(answers + 1, check, &token->answers);
}
