/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine itself: it comes up.
 */
#include "qemu/osdep.h"
#include "libqtest.h"
#include "qobject/qdict.h"

static void test_comes_up(void)
{
    QTestState *qts = qtest_init("-machine appsheath -display none");
    QDict *reply = qtest_qmp(qts, "{ 'execute': 'query-status' }");
    QDict *status = qdict_get_qdict(reply, "return");

    g_assert_cmpstr(qdict_get_str(status, "status"), ==, "running");
    qobject_unref(reply);
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/appsheath/machine/comes-up", test_comes_up);
    return g_test_run();
}
