/*
 * print: an input as a program to read, one operation a line, and the dictionary of sizes.
 */
#include <stdlib.h>
#include <string.h>

#include "target.h"

enum { INPUT_MOST = 1 << 20 };

static uint8_t input[INPUT_MOST];
static struct fuzz_program program;

static bool read_input(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        (void)fprintf(stderr, "fuzz_%s: cannot read %s\n", fuzz_target.name, path);
        return false;
    }
    *bytes = fread(input, 1, sizeof input, file);
    (void)fclose(file);
    return true;
}

/* As much of it as is run. */
static void print_text(const uint8_t *text, size_t bytes)
{
    bytes = strnlen((const char *)text, bytes < FUZZ_TEXT_MOST ? bytes : FUZZ_TEXT_MOST);
    (void)putchar('"');
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] >= ' ' && text[i] < 0x7F && text[i] != '"' && text[i] != '\\')
            (void)putchar(text[i]);
        else
            (void)printf("\\x%02x", text[i]);
    }
    (void)puts("\"");
}

static void print_field(bool is_there, const char *name, size_t value)
{
    if (is_there)
        (void)printf(" %s %zu", name, value);
}

/* As the input has them: what they come to depends on the kind. */
static void print_fields(unsigned fields, const struct fuzz_op *op)
{
    print_field((fields & FUZZ_LANE) != 0, "lane", op->lane);
    print_field((fields & FUZZ_SLOT) != 0, "slot", op->slot);
    print_field((fields & FUZZ_BYTES) != 0, "bytes", op->bytes);
    print_field((fields & FUZZ_ALIGNMENT) != 0, "alignment", op->alignment);
    print_field((fields & FUZZ_COUNT) != 0, "count", op->count);
    print_field((fields & FUZZ_EXTRA) != 0, "extra", op->extra);
}

static void print_op(unsigned index)
{
    const struct fuzz_op *op = &program.ops[index];
    const struct fuzz_kind *kind = &fuzz_target.kinds[op->kind - 1];

    (void)printf("%4u  %-20s", index, kind->name);
    print_fields(kind->fields, op);
    if (fuzz_target.print_op == NULL) {
        (void)putchar('\n');
        return;
    }
    (void)printf("  ->  ");
    fuzz_target.print_op(stdout, &program, index);
}

static void print_tail(void)
{
    struct fuzz_tail tail = {program.tail, program.tail_bytes};

    (void)printf("tail, in the order that it is read:");
    for (size_t i = 0; i < program.tail_bytes; i++)
        (void)printf(" %u", fuzz_tail_next(&tail));
    (void)putchar('\n');
}

int fuzz_print(const char *path)
{
    size_t bytes;

    if (!read_input(path, &bytes))
        return 1;
    if (fuzz_target.kinds == NULL) {
        print_text(input, bytes);
        return 0;
    }
    fuzz_decode(&program, input, bytes, fuzz_target.kind_count);
    (void)printf("fuzz_%s: %u operations\n", fuzz_target.name, program.op_count);
    if (fuzz_target.print_header != NULL)
        fuzz_target.print_header(stdout, &program);
    for (unsigned i = 0; i < program.op_count; i++)
        print_op(i);
    if (fuzz_target.has_tail)
        print_tail();
    return 0;
}

int fuzz_emit_c(const char *path)
{
    size_t bytes;

    if (fuzz_target.emit == NULL) {
        (void)fprintf(stderr, "fuzz_%s: no C: %s\n", fuzz_target.name,
                      fuzz_target.why_no_c != NULL ? fuzz_target.why_no_c : "its inputs are no programs for a malloc");
        return 1;
    }
    if (!read_input(path, &bytes))
        return 1;
    fuzz_decode(&program, input, bytes, fuzz_target.kind_count);
    fuzz_target.emit(stdout, &program);
    return 0;
}

static void print_words(void)
{
    (void)printf("# What the text is made of: fuzz_%s --dictionary.\n", fuzz_target.name);
    for (unsigned i = 0; fuzz_target.words[i] != NULL; i++)
        (void)printf("\"%s\"\n", fuzz_target.words[i]);
}

void fuzz_print_dictionary(void)
{
    static const int around[] = {-16, -8, -1, 0, 1, 8};

    if (fuzz_target.kinds == NULL) {
        print_words();
        return;
    }
    (void)puts("# Sizes around every boundary, as bytes 2 to 4 of an operation (README.md): fuzz_ops --dictionary.");
    for (unsigned i = 0; i < fuzz_boundary_count; i++) {
        for (unsigned k = 0; k < sizeof around / sizeof around[0]; k++) {
            size_t bytes;
            uint8_t encoded[3];

            /* What lies below 0 or above the largest size counts from the other end. */
            (void)__builtin_add_overflow(fuzz_boundaries[i], (size_t)around[k], &bytes);
            fuzz_encode_size(encoded, bytes);
            if (fuzz_size(encoded) == bytes)
                (void)printf("bytes_%zu=\"\\x%02x\\x%02x\\x%02x\"\n", bytes, encoded[0], encoded[1], encoded[2]);
        }
    }
}
