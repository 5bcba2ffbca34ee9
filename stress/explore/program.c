#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "groups.h"

enum form { BARE, SLOT, NUMBER, SLOT_BYTES, SLOT_BYTES_ALIGNMENT, NO_OP };

static enum form form_of(char kind)
{
    switch (kind) {
    case OP_MALLOC:
    case OP_CALLOC:
    case OP_REALLOC:
        return SLOT_BYTES;
    case OP_ALIGNED:
    case OP_MANY:
        return SLOT_BYTES_ALIGNMENT;
    case OP_FREE:
    case OP_INSPECT:
    case OP_LOOK:
    case OP_FREE_MANY:
        return SLOT;
    case OP_FORK_HANDLED:
    case OP_TIME:
    case OP_STRATEGY:
    case OP_AS:
        return NUMBER;
    case OP_TRIM:
    case OP_CHECK:
    case OP_STATS:
    case OP_EMPTY:
    case OP_EXIT:
    case OP_FORK:
        return BARE;
    default:
        return NO_OP;
    }
}

static unsigned slots_of(char kind)
{
    return kind == OP_MANY || kind == OP_FREE_MANY ? (unsigned)GROUPS : (unsigned)SLOTS;
}

static bool read_number(const char **at, size_t *number)
{
    char *end;

    if (**at < '0' || **at > '9')
        return false;
    *number = strtoul(*at, &end, 10);
    *at = end;
    return true;
}

static bool skip(const char **at, char expected)
{
    if (**at != expected)
        return false;
    ++*at;
    return true;
}

static bool read_op(const char **at, struct op *op)
{
    enum form form = form_of(**at);
    size_t slot = 0;

    *op = (struct op){.kind = **at};
    if (form == NO_OP)
        return false;
    ++*at;
    if (form == BARE)
        return true;
    if (form == NUMBER)
        return read_number(at, &op->bytes);
    if (!read_number(at, &slot) || slot >= slots_of(op->kind))
        return false;
    op->slot = (unsigned)slot;
    if (form == SLOT)
        return true;
    if (!skip(at, '=') || !read_number(at, &op->bytes))
        return false;
    return form == SLOT_BYTES || (skip(at, 'x') && read_number(at, &op->alignment) &&
                                  (op->kind != OP_MANY || op->alignment <= GROUP_BLOCKS_MOST));
}

/* Up to one of the characters, or the end; there may be none. */
static const char *read_ops(const char **at, const char *ends, struct ops *ops)
{
    ops->count = 0;
    while (strchr(ends, **at) == NULL) {
        if (ops->count == OPS_MOST)
            return "too many operations";
        if (!read_op(at, &ops->list[ops->count]))
            return "no operation";
        ops->count++;
        if (**at != ',')
            break;
        ++*at;
    }
    return NULL;
}

bool program_parse(struct program *program, const char *text, const char **error)
{
    const char *at = text;

    memset(program, 0, sizeof *program);
    *error = read_ops(&at, "/", &program->set_up);
    while (*error == NULL && *at == '/') {
        at++;
        if (program->thread_count == THREADS_MOST)
            *error = "too many threads";
        else
            /* What stands for a thread in the set-up is where the options begin after it. */
            *error = read_ops(&at, "/@", &program->threads[program->thread_count++]);
    }
    if (*error != NULL)
        return false;
    if (*at == '@') {
        if (strlen(at + 1) >= OPTIONS_BYTES) {
            *error = "the options are too long";
            return false;
        }
        memcpy(program->options, at + 1, strlen(at + 1) + 1);
        at += strlen(at);
    }
    if (*at != '\0')
        *error = "no operation";
    else if (program->thread_count == 0)
        *error = "no thread";
    for (unsigned i = 0; *error == NULL && i < program->set_up.count; i++)
        if (program->set_up.list[i].kind == OP_AS &&
            (program->set_up.list[i].bytes == 0 || program->set_up.list[i].bytes > program->thread_count))
            *error = "no such thread";
    return *error == NULL;
}

void program_print_op(const struct op *op, char *text, size_t bytes)
{
    switch (form_of(op->kind)) {
    case SLOT:
        (void)snprintf(text, bytes, "%c%u", op->kind, op->slot);
        break;
    case NUMBER:
        (void)snprintf(text, bytes, "%c%zu", op->kind, op->bytes);
        break;
    case SLOT_BYTES:
        (void)snprintf(text, bytes, "%c%u=%zu", op->kind, op->slot, op->bytes);
        break;
    case SLOT_BYTES_ALIGNMENT:
        (void)snprintf(text, bytes, "%c%u=%zux%zu", op->kind, op->slot, op->bytes, op->alignment);
        break;
    default:
        (void)snprintf(text, bytes, "%c", op->kind);
        break;
    }
}

static void print_ops(const struct ops *ops, char *text, size_t bytes)
{
    for (unsigned i = 0; i < ops->count; i++) {
        size_t length = strlen(text);

        if (i > 0 && length + 1 < bytes) {
            text[length++] = ',';
            text[length] = '\0';
        }
        program_print_op(&ops->list[i], text + length, bytes - length);
    }
}

void program_print(const struct program *program, char *text, size_t bytes)
{
    text[0] = '\0';
    print_ops(&program->set_up, text, bytes);
    for (unsigned i = 0; i < program->thread_count; i++) {
        (void)snprintf(text + strlen(text), bytes - strlen(text), "/");
        print_ops(&program->threads[i], text, bytes);
    }
    if (program->options[0] != '\0')
        (void)snprintf(text + strlen(text), bytes - strlen(text), "@%s", program->options);
}
