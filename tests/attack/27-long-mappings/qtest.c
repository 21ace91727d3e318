/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: pages are given to a program while a device still has them mapped
 * Row: 27
 * Rule: A6, A7
 * Guard: A6.pin
 * Record: none: nothing is accessed that is protected, the request is told AS_E_BUSY
 * Source: Thunderclap (NDSS 2019), the window between unmapping and invalidating
 * Mechanism: AHCI maps the area of its replies and keeps it; a disk that takes its time has a buffer mapped that it will write to,
 *   or read from.  Meanwhile CREATE and ALLOC ask for these pages.
 * Seen: the request is refused, until the device has let go.
 * Limits: the test plays the program that writes a secret to its new page.
 */
#include "qemu/osdep.h"
#include "appsheath/appsheath-attack.h"
#include "appsheath/appsheath-masters.h"

#define ATA_IDENTIFY    0xec
#define ATA_READ        0xc8
#define ATA_WRITE       0xca
#define AHCI_CI         0x138
#define PAGE_MAPPED     (FREE + 0x30000)

static Card ahci;

/* A command that may take a while: the slow disk does one a second */
static void issue(Sheath *s, uint8_t command, uint64_t phys)
{
    uint64_t table = RINGS + 0x1000;

    put32(s, RINGS, 5 | (command == ATA_WRITE) << 6 | 1 << 16);
    put64(s, RINGS + 8, table);
    put32(s, table, 0x27 | 0x80 << 8 | command << 16);
    s->raw[table + 7] = 0x40;
    s->raw[table + 12] = 1;
    put64(s, table + 0x80, phys);
    put32(s, table + 0x8c, SECRET_BYTES - 1);
    card_set(&ahci, AHCI_CI, 1);
}

static void finish(Sheath *s)
{
    int64_t until = soon();

    while (card_get(&ahci, AHCI_CI)) {
        wait_on(until);
        qtest_clock_step(s->qts, NANOSECONDS_PER_SECOND);
    }
}

static Sheath *start(Image *im, const char *disk)
{
    g_autofree char *args = g_strdup_printf(
        "-drive if=none,id=d,format=raw,throttling.iops-total=1,file=%s "
        "-device ide-hd,bus=ide.0,drive=d", disk);
    Sheath *s = victim(im, args);

    clear_rings(s);
    ahci = ahci_start(s);
    return s;
}

static void stop(Sheath *s)
{
    g_free(ahci.dev);
    sheath_stop(s);
}

/* Without the guard it has happened; BUSY is the only other answer */
static bool was_given(Sheath *s)
{
    struct as_request r = request_alloc(BASE, BASE + MiB, 1);
    uint32_t status;

    put_list(s, (uint64_t[]) { PAGE_MAPPED }, 1);
    status = sheath_do(s, r);
    g_assert_true(status == AS_OK || status == AS_E_BUSY);
    return status == AS_OK;
}

/* The device's replies go into a program's page */
static void try_replies(const char *disk)
{
    Image im;
    Sheath *s = start(&im, disk);
    bool given;

    ahci_map(&ahci, RINGS, PAGE_MAPPED);
    given = was_given(s);
    issue(s, ATA_IDENTIFY, FREE);
    finish(s);
    verdict("replies", given && !all_are(s->raw + PAGE_MAPPED, PAGE, 0));
    stop(s);
}

/* One command is done at once, the next one waits for a second */
static void keep_busy(Sheath *s)
{
    ahci_map(&ahci, RINGS, RINGS + 0x400);
    issue(s, ATA_READ, FREE);
    finish(s);
}

static void try_read_from_disk(const char *disk)
{
    Image im;
    Sheath *s = start(&im, disk);
    bool given;

    keep_busy(s);
    issue(s, ATA_READ, PAGE_MAPPED);
    g_assert_cmphex(card_get(&ahci, AHCI_CI), ==, 1);
    given = was_given(s);
    finish(s);
    verdict("a sector on its way to memory",
            given && all_are(s->raw + PAGE_MAPPED, SECRET_BYTES, MINE));
    stop(s);
}

static void try_write_to_disk(const char *disk)
{
    Image im;
    Sheath *s = start(&im, disk);
    g_autofree char *sector = NULL;
    bool given;

    keep_busy(s);
    memset(s->raw + PAGE_MAPPED, 0, PAGE);
    issue(s, ATA_WRITE, PAGE_MAPPED);
    g_assert_cmphex(card_get(&ahci, AHCI_CI), ==, 1);
    given = was_given(s);
    if (given) {        /* the program does what it will */
        memcpy(s->raw + PAGE_MAPPED, im.bytes + PAGE, SECRET_BYTES);
    }
    finish(s);
    stop(s);
    g_assert_true(g_file_get_contents(disk, &sector, NULL, NULL));
    verdict("a sector on its way to disk",
            given && knows_secret(&im, sector, SECRET_BYTES));
}

/* The same for CREATE: the sector replaces text that was hashed already */
static void try_create(const char *disk)
{
    Image im = image_new(1);
    g_autofree char *args = g_strdup_printf(
        "-drive if=none,id=d,format=raw,throttling.iops-total=1,file=%s "
        "-device ide-hd,bus=ide.0,drive=d", disk);
    Sheath *s = sheath_for(&im, args);
    uint32_t status;

    clear_rings(s);
    ahci = ahci_start(s);
    keep_busy(s);
    issue(s, ATA_READ, im.pages[1]);
    status = image_create(s, &im, BASE, 0);
    g_assert_true(status == AS_OK || status == AS_E_BUSY);
    finish(s);
    verdict("a sector on its way to an image",
            status == AS_OK && all_are(image_raw(s, &im, 1), SECRET_BYTES, MINE));
    stop(s);
}

static char *disk_of_mine(void)
{
    g_autofree char *bytes = g_malloc(MiB);

    memset(bytes, MINE, MiB);
    return temp_file(bytes, MiB);
}

static void attack(void)
{
    static void (*const tries[])(const char *) = {
        try_replies, try_read_from_disk, try_create, try_write_to_disk,
    };
    g_autofree char *disk = disk_of_mine();

    for (unsigned i = 0; i < ARRAY_SIZE(tries); i++) {
        tries[i](disk);
    }
    unlink(disk);
}

ATTACK("27-long-mappings", attack)
