/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: the machine is saved, or moved elsewhere, and the secret read from what is written
 * Row: 64
 * Rule: A8
 * Guard: A8.save
 * Record: none: the monitor's command is refused, with the reason
 * Source: migration and snapshots as a way to a guest's memory: SEV's migration keys ("Severity", "Insecure until proven updated")
 * Mechanism: migration to a file, and savevm to a disk, while a program has a secret in memory.
 * Seen: both are refused, and what they would write holds nothing.
 * Limits: whoever can read the emulator's memory from outside needs neither, and is out of scope.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"

#define REFUSAL "can be neither saved nor migrated"

static bool file_knows(const char *path, const Image *im)
{
    g_autofree char *bytes = NULL;
    gsize len;

    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    return memmem(bytes, len, im->bytes + PAGE, SECRET_BYTES);
}

static void wait_migration(Sheath *s)
{
    int64_t until = soon();

    for (;;) {
        QDict *reply = qtest_qmp(s->qts, "{ 'execute': 'query-migrate' }");
        QDict *info = qdict_get_qdict(reply, "return");
        g_autofree char *status = g_strdup(qdict_get_str(info, "status"));

        qobject_unref(reply);
        g_assert_cmpstr(status, !=, "failed");
        if (g_str_equal(status, "completed")) {
            return;
        }
        wait_on(until);
    }
}

static void try_migrate(void)
{
    Image im;
    Sheath *s = victim(&im, "");
    g_autofree char *path = temp_file("", 0);
    g_autofree char *uri = g_strdup_printf("file:%s", path);
    QDict *reply = qtest_qmp(s->qts, "{ 'execute': 'migrate', 'arguments': "
                             "{ 'uri': %s } }", uri);

    if (qdict_haskey(reply, "error")) {
        check_error(reply, REFUSAL);
    } else {
        qobject_unref(reply);
        wait_migration(s);
    }
    verdict("migrate", file_knows(path, &im));
    unlink(path);
    sheath_stop(s);
}

/* An empty disk of QEMU's own format, with room for a snapshot */
static char *snapshot_disk(void)
{
    char *path = disk_file(0);
    QTestState *qts = qtest_initf(
        "-machine none -blockdev driver=file,filename=%s,node-name=f", path);

    qtest_qmp_assert_success(qts, "{ 'execute': 'blockdev-create', "
        "'arguments': { 'job-id': 'j', 'options': { 'driver': 'qcow2', "
        "'file': 'f', 'size': 1048576 } } }");
    qtest_qmp_eventwait(qts, "JOB_STATUS_CHANGE");
    for (int64_t until = soon();;) {
        QDict *reply = qtest_qmp(qts, "{ 'execute': 'query-jobs' }");
        QList *jobs = qdict_get_qlist(reply, "return");
        QDict *job = qobject_to(QDict, qlist_peek(jobs));
        bool done = g_str_equal(qdict_get_str(job, "status"), "concluded");

        qobject_unref(reply);
        if (done) {
            break;
        }
        wait_on(until);
    }
    qtest_quit(qts);
    return path;
}

static void try_savevm(void)
{
    g_autofree char *disk = snapshot_disk();
    g_autofree char *args = g_strdup_printf(
        "-drive if=none,id=d,format=qcow2,file=%s", disk), *said = NULL;
    Image im;
    Sheath *s = victim(&im, args);

    said = qtest_hmp(s->qts, "savevm snapshot");
    if (*said && !strstr(said, REFUSAL)) {
        g_error("savevm: %s", said);
    }
    sheath_stop(s);
    verdict("savevm", file_knows(disk, &im));
    unlink(disk);
}

static void attack(void)
{
    try_migrate();
    try_savevm();
}

ATTACK("64-saved", attack)
