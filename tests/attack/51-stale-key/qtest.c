/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a program is loaded by a key that is no longer there
 * Row: 51
 * Rule: L6
 * Guard: L6.fresh
 * Record: none: the request is refused with AS_E_NO_KEY or AS_E_NOT_TRUSTED
 * Source: replay of old credentials; the person has pulled the key or brought another one
 * Mechanism: the key is pulled, exchanged for one that does not name the image, and exchanged while a request reads it.
 * Seen: what counts is what is plugged in now.
 * Limits: a context that runs goes on when the key is pulled.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"

/* The image was loaded once, and is gone */
static Sheath *loaded_once(Image *im)
{
    Sheath *s = victim(im, "");

    g_assert_cmpuint(sheath_destroy(s, BASE), ==, AS_OK);
    return s;
}

static void conclude(Sheath *s, const char *variant, uint32_t status)
{
    g_assert_true(status == AS_OK || status == AS_E_NO_KEY ||
                  status == AS_E_NOT_TRUSTED || status == AS_E_BAD_KEY);
    verdict(variant, status == AS_OK && s->result == AS_RESULT_TRUSTED);
    sheath_stop(s);
}

static void try_pulled(void)
{
    Image im;
    Sheath *s = loaded_once(&im);

    unplug(s, "key");
    conclude(s, "pulled", image_create(s, &im, BASE, 0));
}

static void try_exchanged(void)
{
    Image im, other = image_new(2);
    g_autoptr(KeyFile) key = key_for(&other);
    Sheath *s = loaded_once(&im);

    unplug(s, "key");
    plug(s, "other", key);
    conclude(s, "exchanged", image_create(s, &im, BASE, 0));
}

/* By a slow one, which is exchanged again while it is read */
static void try_meanwhile(void)
{
    Image im, other = image_new(2);
    g_autoptr(KeyFile) slow = key_for(&other), key = key_for(&other);
    Sheath *s = loaded_once(&im);
    g_autofree char *opts = NULL, *said = NULL;
    uint64_t slot;

    unplug(s, "key");
    opts = g_strdup_printf("drive_add 0 if=none,id=slow,format=raw,"
                           "read-only=on,throttling.iops-total=1,file=%s",
                           slow);
    said = qtest_hmp(s->qts, "%s", opts);
    qtest_qmp_device_add(s->qts, "usb-storage", "slow",
                         "{ 'bus': 'sheath.0', 'drive': 'slow' }");
    image_put(s, &im);
    slot = sheath_put(s, request_create(BASE, IMAGE_PAGES));
    sheath_ring(s);
    g_usleep(20000);
    unplug(s, "slow");
    plug(s, "other", key);
    hurry(s);
    conclude(s, "exchanged while it is read", status_at(s, slot));
}

static void attack(void)
{
    try_pulled();
    try_exchanged();
    try_meanwhile();
}

ATTACK("51-stale-key", attack)
