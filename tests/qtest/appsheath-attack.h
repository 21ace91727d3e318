/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attacks by devices and by what a 'visor does to them.
 *
 * Each directory tests/attack/NAME with a qtest.c is one attack; the file
 * begins with a comment that tests/attack/run.py reads, and ends with
 *
 *     ATTACK("NAME", attack)
 *
 * where attack() tries each variant and says verdict() of each.  An assertion
 * that fails is an error, never a pass.
 */
#ifndef TESTS_QTEST_APPSHEATH_ATTACK_H
#define TESTS_QTEST_APPSHEATH_ATTACK_H

#define APPSHEATH_CORE_ELSEWHERE
#include "appsheath/appsheath-lib.h"

#define SECRET_BYTES    512     /* at the beginning of the program's text */
#define MINE            0x3c    /* what an attacker writes */

/** attack_add - @run is what the attack of this name does */
void attack_add(const char *name, void (*run)(void));

#define ATTACK(name, run) \
    static void __attribute__((constructor)) add_attack(void) \
    { \
        attack_add(name, run); \
    }

/** verdict - of one variant: what it is called, whether it succeeded */
void verdict(const char *variant, bool succeeded);

/** broken - a variant that could not even be tried */
void broken(const char *variant, const char *why);

/** victim - a machine with a trusted context of image 1 at BASE */
Sheath *victim(Image *im, const char *args);

/** victim_create - the same in a machine that is there already */
void victim_create(Sheath *s, Image *im);

/**
 * judge_create - CREATE of the image at @base: the attack succeeds if it is
 * trusted; else it must be refused with this status; ends the machine
 */
void judge_create(Sheath *s, const char *variant, const Image *im,
                  uint64_t base, uint32_t refused);

/** knows_secret - are these the first bytes of the program's text? */
bool knows_secret(const Image *im, const void *bytes, size_t len);

/** denials - how many there were so far */
uint64_t denials(Sheath *s);

/**
 * judge - @succeeded, or it was denied since there were @before denials, or
 * it was not even tried, which is an error
 */
void judge(Sheath *s, const char *variant, bool succeeded, uint64_t before);

/**
 * struct Master - a device that copies memory, by way of its medium
 * @name: of the variants
 * @args: of the machine that has it, with DISK, WIRE or LINE if it needs one
 * @len: bytes that it copies
 * @start: what a driver does first
 * @copy: from there to there, both physical; what is refused is just not done
 * @writes_only: it makes up what it writes
 */
typedef struct Master {
    const char *name, *args;
    unsigned len;
    void (*start)(Sheath *s);
    void (*copy)(Sheath *s, uint64_t from, uint64_t to);
    void (*stop)(Sheath *s);
    bool writes_only;
} Master;

#define DISK        "-drive if=none,id=d,format=raw,file=%s"    /* empty */
#define WIRE        "-netdev socket,id=n,fd=%d"
#define LINE        "-chardev socket,id=n,fd=%d"

/** disk_file - an empty disk of so many bytes; unlink and free it */
char *disk_file(size_t bytes);

/**
 * wire_echo - waits a moment for a frame out of the card, and sends it back,
 * @len bytes of it
 */
bool wire_echo(Sheath *s, unsigned len);

/** line_echo - the same with so many bytes of a serial line */
bool line_echo(Sheath *s, unsigned len);

/** attack_by - each of them reads and writes a protected page */
void attack_by(const Master *masters, unsigned n);

#endif
