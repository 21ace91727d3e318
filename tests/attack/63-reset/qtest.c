/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the machine is reset or put to sleep under a program
 * Row: 63
 * Rule: X6, A8, D5
 * Guard: X6.reset
 * Record: none: nothing is denied, the contexts die
 * Source: cold boot attacks (Halderman and others, USENIX Security 2008); S3 resume attacks on boot scripts and on TPMs
 * Mechanism: a reset of the machine, and sleep (S3) with waking up, while a program has a secret in memory.
 * Seen: no context lives on, and no page holds anything before other software runs.
 * Limits: INIT of a vCPU is in 31; a balloon only ever finds RAM, which protected pages are not (appsheath-arbiter-test A2/balloon);
 *   RAM that another process keeps over a power cycle is refused at start (28).
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"

#define LPC             (0x80000000 | 0x1f << 11)
#define PM_BASE         0x600
#define PM1_CONTROL     (PM_BASE + 4)
#define SLEEP_S3        (1 << 13 | 1 << 10)

static bool lives_on(Sheath *s, const Image *im)
{
    return !all_are(image_raw(s, im, 1), PAGE, 0) ||
           qom_number(s, ARBITER, "contexts");
}

static void try_reset(void)
{
    Image im;
    Sheath *s = victim(&im, "");

    qtest_system_reset(s->qts);
    verdict("reset", lives_on(s, &im));
    sheath_stop(s);
}

/* A guest's own way to it */
static void try_port(void)
{
    Image im;
    Sheath *s = victim(&im, "");

    qtest_outb(s->qts, 0xcf9, 6);
    qtest_qmp_eventwait(s->qts, "RESET");
    verdict("reset by a port", lives_on(s, &im));
    sheath_stop(s);
}

static void try_sleep(void)
{
    Image im;
    Sheath *s = victim(&im, "");

    qtest_outl(s->qts, 0xcf8, LPC | 0x40);
    qtest_outl(s->qts, 0xcfc, PM_BASE | 1);
    qtest_outl(s->qts, 0xcf8, LPC | 0x44);
    qtest_outb(s->qts, 0xcfc, 0x80);
    qtest_outw(s->qts, PM1_CONTROL, SLEEP_S3);
    qtest_qmp_eventwait(s->qts, "SUSPEND");
    qtest_qmp_assert_success(s->qts, "{ 'execute': 'system_wakeup' }");
    qtest_qmp_eventwait(s->qts, "WAKEUP");
    qtest_qmp_assert_success(s->qts, "{ 'execute': 'query-status' }");
    verdict("sleep", lives_on(s, &im));
    sheath_stop(s);
}

static void attack(void)
{
    try_reset();
    try_port();
    try_sleep();
}

ATTACK("63-reset", attack)
