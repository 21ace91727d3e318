/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a program is killed, and then its memory is read
 * Row: 60, 63
 * Rule: A8, D5
 * Guard: A8.kill
 * Record: none: the pages are ordinary ones again, and zero
 * Source: cold boot attacks (Halderman and others, USENIX Security 2008); memory of dead processes and guests
 * Mechanism: DESTROY, a reset of the controller by its register, and a reset of the machine; then an ordinary access.
 * Seen: zeros.
 * Limits: what a killed program had in ordinary memory stays there.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"

static void by_destroy(Sheath *s)
{
    g_assert_cmpuint(sheath_destroy(s, BASE), ==, AS_OK);
}

static void by_register(Sheath *s)
{
    set32(s, AS_REG_CONTROL, AS_CTRL_RESET);
    wait_reg(s, AS_REG_CONTROL, 0);
}

static void by_machine(Sheath *s)
{
    qtest_system_reset(s->qts);
}

static void try_kill(const char *variant, void (*kill)(Sheath *s))
{
    Image im;
    Sheath *s = victim(&im, "");
    uint8_t got[SECRET_BYTES];

    kill(s);
    g_assert_cmpuint(qom_number(s, ARBITER, "contexts"), ==, 0);
    qtest_bufread(s->qts, im.pages[1], got, sizeof(got));
    verdict(variant, knows_secret(&im, got, sizeof(got)));
    sheath_stop(s);
}

static void attack(void)
{
    try_kill("DESTROY", by_destroy);
    try_kill("reset of the controller", by_register);
    try_kill("reset of the machine", by_machine);
}

ATTACK("63-after-kill", attack)
