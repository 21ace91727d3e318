/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pictures of the LCD, compared with what should be on it: drawn here once
 * more, from QEMU's font.
 */
#ifndef TESTS_QTEST_APPSHEATH_LCD_H
#define TESTS_QTEST_APPSHEATH_LCD_H

#include "appsheath/appsheath-lib.h"
#include "ui/vgafont.h"

#define LCD_WIDTH   256
#define LCD_HEIGHT  64
#define LCD_NAME_Y  0               /* rows of the name, the bar, the line */
#define LCD_BAR_Y   32
#define LCD_LINE_Y  48
#define LCD_BAR_X   32              /* of hardware's notes: right of the lock */

#define ALERT_COLOURS   0xffffff, 0xa01818
#define NAME_COLOURS    0x101810, 0xb8e986
#define LINE_COLOURS    0xd8e8c8, 0x141a14

typedef struct Lcd {
    uint8_t rgb[LCD_HEIGHT][LCD_WIDTH][3];
} Lcd;

static inline Lcd lcd_picture(Sheath *s)
{
    static const char head[] = "P6\n256 64\n255\n";
    g_autofree char *path = temp_file("", 0), *ppm = NULL;
    gsize len, head_len = strlen(head);
    Lcd lcd;

    qtest_qmp_assert_success(s->qts, "{ 'execute': 'screendump', 'arguments': "
        "{ 'device': 'kbd0', 'head': 0, 'filename': %s } }", path);
    g_assert_true(g_file_get_contents(path, &ppm, &len, NULL));
    unlink(path);
    g_assert_cmpuint(len, ==, head_len + sizeof(lcd));
    g_assert_cmpmem(ppm, head_len, head, head_len);
    memcpy(&lcd, ppm + head_len, sizeof(lcd));
    return lcd;
}

static inline uint32_t lcd_pixel(const Lcd *lcd, unsigned x, unsigned y)
{
    const uint8_t *p = lcd->rgb[y][x];

    return p[0] << 16 | p[1] << 8 | p[2];
}

static inline bool lcd_same(const Lcd *a, const Lcd *b)
{
    return !memcmp(a, b, sizeof(*a));
}

/* Are these rows all of one colour? */
static inline bool lcd_rows_blank(const Lcd *lcd, unsigned y, unsigned rows)
{
    const uint8_t *first = lcd->rgb[y][0];

    return !memcmp(first, first + 3, (rows * LCD_WIDTH - 1) * 3);
}

/* The text stands there, in these colours, and nothing is behind it */
static inline void lcd_check_text(const Lcd *lcd, unsigned left, unsigned top,
                                  unsigned scale, const char *text,
                                  uint32_t colour, uint32_t background)
{
    unsigned end = left + strlen(text) * 8 * scale;

    g_assert_cmpuint(end, <=, LCD_WIDTH);
    for (unsigned y = 0; y < 16 * scale; y++) {
        for (unsigned x = left; x < LCD_WIDTH; x++) {
            unsigned column = (x - left) / scale;
            uint8_t row = x < end ? vgafont16[(uint8_t)text[column / 8] * 16 +
                                              y / scale] : 0;
            uint32_t want = row & (0x80 >> column % 8) ? colour : background;

            g_assert_cmphex(lcd_pixel(lcd, x, top + y), ==, want);
        }
    }
}

#endif
