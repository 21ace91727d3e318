/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Attacks and their verdicts; tests/attack/run.py reads the lines. */
#include "step.h"

bool leaks_count;
static bool succeeded;

void learnt(const char *f, ...)
{
    char text[200];
    va_list ap;

    succeeded = true;
    va_start(ap, f);
    vformat(text, sizeof(text), f, ap);
    va_end(ap);
    say_line("# learnt: %s", text);
}

bool has_learnt(void)
{
    return succeeded;
}

/* A4: what the 'visor itself can read of it */
static void tell_denials(void)
{
    struct denial d;

    while (tdma_next_denial(&d)) {
        unsigned rule = d.info >> AS_LOG_RULE_SHIFT & 0xffff;

        say_line("denied: %c%u page 0x%lx", rule >> 8, rule & 0xff, d.page);
    }
}

void suite_name(const char *name)
{
    say_line("%s", name);
}

void suite_result(unsigned number, const char *name, bool failed, bool gave_up)
{
    bool broken = gave_up || (failed && !leaks_count);

    (void)number;
    steps_end();
    tell_denials();
    say_line("attack %s: %s", name, broken ? "error" : succeeded || failed ? "succeeded" : "contained");
    succeeded = leaks_count = false;
}

void suite_end(unsigned number)
{
    say_line("attacks: %u", number);
}
