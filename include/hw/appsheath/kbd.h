/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AppSheath: the keyboard with an LCD (T)
 *
 * All keys that a person types, from whatever display or monitor command,
 * pass here first.  They go on to the guest's own keyboards as long as the LCD
 * is blank; else to the channel whose name the LCD shows, or nowhere.
 *
 * QEMU interface:
 *  + a system bus device without registers, created by the machine: with
 *    qdev_set_id() "kbd0" before it is realized, or no display finds it
 *  + a console of its own, 256 x 64: -vnc :2,display=kbd0,head=0, and
 *    screendump with device=kbd0
 *  + property "lcd-guard": T3, milliseconds
 *  + read-only properties, what the LCD shows: "name", "note", "text",
 *    "alert"; and "open" (a channel gets the keys), "guard" (T3: keys are
 *    being dropped)
 *  + everything here is called with the BQL held
 *
 * The LCD, from top to bottom:
 *     name    32 rows, dark on light: nothing else is ever drawn so
 *     bar     16 rows: a lock, and the hardware's own notes
 *     text    16 rows, light on dark: what the context writes (T4)
 */
#ifndef HW_APPSHEATH_KBD_H
#define HW_APPSHEATH_KBD_H

#include "hw/sysbus.h"
#include "qom/object.h"

#define TYPE_APPSHEATH_KBD "appsheath-kbd"
OBJECT_DECLARE_SIMPLE_TYPE(AppSheathKbd, APPSHEATH_KBD)

/* Where keys go: a Linux input code, pressed (or repeated) or released */
typedef void AppSheathKeyFn(void *opaque, uint16_t linux_code, bool down);

/**
 * appsheath_kbd_open() - T1: give the keys to a channel and show its name
 * @k: the keyboard
 * @name: of the context, by its key entry (L3)
 * @key: gets each key, once the guard time is over (T3)
 * @opaque: for @key
 *
 * Another channel that has the keys loses them.  @key may close the channel.
 */
void appsheath_kbd_open(AppSheathKbd *k, const char *name,
                        AppSheathKeyFn *key, void *opaque);

/**
 * appsheath_kbd_close() - take the keys from the channel
 * @k: the keyboard
 *
 * Does nothing if no channel has them.
 */
void appsheath_kbd_close(AppSheathKbd *k);

/**
 * appsheath_kbd_show() - T4: an output channel opens or closes
 * @k: the keyboard
 * @name: of the context; NULL: it closes
 *
 * While a name is on the LCD no key reaches the guest (T1), so with no channel
 * for keys open they go nowhere.  The text of an earlier channel is gone.  If
 * a channel of another name has the keys, that name stays and the text of this
 * one is not shown.
 */
void appsheath_kbd_show(AppSheathKbd *k, const char *name);

/**
 * appsheath_kbd_text() - T4: the line under the name
 * @k: the keyboard
 * @line: up to 32 characters, others than printable ASCII shown as '?'; NULL:
 *        none
 *
 * Kept until the channel closes; without a name it is not shown.
 */
void appsheath_kbd_text(AppSheathKbd *k, const char *line);

/**
 * appsheath_kbd_alert() - T2: the hardware itself tells the person something
 * @k: the keyboard
 * @line: less than 64 characters; NULL: no more
 *
 * Shown whenever no name is.
 */
void appsheath_kbd_alert(AppSheathKbd *k, const char *line);

/**
 * appsheath_kbd_dropped() - T1: keys found the ring full
 * @k: the keyboard
 * @n: how many since the channel was opened; 0: none
 */
void appsheath_kbd_dropped(AppSheathKbd *k, uint32_t n);

/**
 * appsheath_kbd_is_open() - does a channel get the keys?
 * @k: the keyboard
 */
bool appsheath_kbd_is_open(AppSheathKbd *k);

#endif
