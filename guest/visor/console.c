/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Serial port, VGA text screen and formatted lines. */
#include "visor.h"

#define COM1            0x3f8
#define COM_STATUS      (COM1 + 5)
#define COM_CAN_SEND    0x20
#define VGA             ((volatile uint16_t *)0xb8000)
#define COLUMNS         80
#define ROWS            25
#define INDENT          4               /* of a line that goes on */
#define GREY            0x07
#define GREEN           0x0a
#define YELLOW          0x0e
#define TITLE           0x1f

static unsigned column, row = 1;
static uint8_t colour = GREY;
static bool os_line;            /* the OS is in the middle of a line */

bool all_zero(const void *from, uint64_t len)
{
    const uint8_t *p = from;

    for (uint64_t i = 0; i < len; i++) {
        if (p[i]) {
            return false;
        }
    }
    return true;
}

static void vga_newline(void)
{
    column = 0;
    if (++row < ROWS) {
        return;
    }
    row = ROWS - 1;
    for (unsigned i = COLUMNS; i < COLUMNS * (ROWS - 1); i++) {
        VGA[i] = VGA[i + COLUMNS];
    }
    for (unsigned i = 0; i < COLUMNS; i++) {
        VGA[row * COLUMNS + i] = GREY << 8 | ' ';
    }
}

static void vga_put(char c)
{
    if (c == '\n') {
        vga_newline();
        return;
    }
    if (column == COLUMNS) {
        vga_newline();
    }
    VGA[row * COLUMNS + column++] = colour << 8 | (uint8_t)c;
}

static void serial_put(char c)
{
    while (!(inb(COM_STATUS) & COM_CAN_SEND)) {
    }
    outb(COM1, c);
}

static unsigned word_length(const char *s, uint64_t len)
{
    unsigned n = 0;

    while (n < len && s[n] != ' ' && s[n] != '\n') {
        n++;
    }
    return n;
}

/* On the serial port as it is, on the screen with lines broken between words */
static void put(const char *s, uint64_t len)
{
    for (uint64_t i = 0; i < len; i++) {
        if (s[i] == '\n') {
            serial_put('\r');
        }
        serial_put(s[i]);
        if (s[i] == ' ' && column + 1 + word_length(s + i + 1, len - i - 1) > COLUMNS) {
            vga_newline();
            column = INDENT;
        } else {
            vga_put(s[i]);
        }
    }
}

static void puts(const char *s)
{
    put(s, strlen(s));
}

void console_init(void)
{
    static const char title[] = " The 'visor's screen: nothing here is trusted."
                                " The LCD says who has the keys.";

    outb(COM1 + 1, 0);          /* no interrupts */
    outb(COM1 + 3, 0x80);
    outb(COM1 + 0, 1);          /* 115200 baud */
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 3);          /* 8n1 */
    outb(COM1 + 2, 7);          /* FIFOs on and empty */
    for (unsigned i = 0; i < COLUMNS * ROWS; i++) {
        VGA[i] = GREY << 8 | ' ';
    }
    for (unsigned i = 0; i < COLUMNS; i++) {
        VGA[i] = TITLE << 8 | (i < sizeof(title) - 1 ? title[i] : ' ');
    }
    outb(0x3d4, 0x0a);          /* no cursor */
    outb(0x3d5, 0x20);
}

/* ---- formatted text ---- */

struct out {
    char *buf;
    unsigned size, len;
};

static void out_char(struct out *o, char c)
{
    if (o->len + 1 < o->size) {
        o->buf[o->len++] = c;
    }
}

static void out_number(struct out *o, uint64_t n, unsigned base, unsigned width,
                       char fill)
{
    char digits[20];
    unsigned count = 0;

    do {
        digits[count++] = "0123456789abcdef"[n % base];
        n /= base;
    } while (n);
    while (width > count) {
        out_char(o, fill);
        width--;
    }
    while (count) {
        out_char(o, digits[--count]);
    }
}

static void out_signed(struct out *o, int64_t n, unsigned width, char fill)
{
    if (n < 0) {
        out_char(o, '-');
        n = -n;
    }
    out_number(o, n, 10, width, fill);
}

/* One conversion, behind its '%'; returns what follows it */
static const char *convert(struct out *o, const char *f, va_list *ap)
{
    char fill = *f == '0' ? '0' : ' ';
    unsigned width = 0;
    bool is_long = false;

    while (*f >= '0' && *f <= '9') {
        width = width * 10 + *f++ - '0';
    }
    while (*f == 'l') {
        is_long = true;
        f++;
    }
    if (*f == 's') {
        for (const char *s = va_arg(*ap, const char *); *s; s++) {
            out_char(o, *s);
        }
    } else if (*f == 'c') {
        out_char(o, va_arg(*ap, int));
    } else if (*f == 'd') {
        out_signed(o, is_long ? va_arg(*ap, long) : va_arg(*ap, int), width, fill);
    } else if (*f == 'u' || *f == 'x') {
        out_number(o, is_long ? va_arg(*ap, unsigned long) : va_arg(*ap, unsigned),
                   *f == 'x' ? 16 : 10, width, fill);
    } else {
        out_char(o, *f);
    }
    return f + 1;
}

unsigned vformat(char *buf, unsigned size, const char *f, va_list args)
{
    struct out o = { buf, size, 0 };
    va_list ap;

    va_copy(ap, args);
    while (*f) {
        if (*f == '%') {
            f = convert(&o, f + 1, &ap);
        } else {
            out_char(&o, *f++);
        }
    }
    va_end(ap);
    buf[o.len] = 0;
    return o.len;
}

unsigned format(char *buf, unsigned size, const char *f, ...)
{
    va_list ap;

    va_start(ap, f);
    unsigned len = vformat(buf, size, f, ap);
    va_end(ap);
    return len;
}

/* ---- lines ---- */

static void line(const char *who, uint8_t in, const char *f, va_list ap)
{
    char text[512];

    if (os_line) {
        puts("\n");
        os_line = false;
    }
    vformat(text, sizeof(text), f, ap);
    colour = in;
    puts(who);
    puts(text);
    puts("\n");
}

void say(const char *f, ...)
{
    va_list ap;

    va_start(ap, f);
    line("visor: ", GREY, f, ap);
    va_end(ap);
}

_Noreturn void fail(const char *f, ...)
{
    char text[400];
    va_list ap;

    va_start(ap, f);
    vformat(text, sizeof(text), f, ap);
    va_end(ap);
    say("stopped: %s", text);
    end(END_FAILED);
}

void say_attack(const char *f, ...)
{
    va_list ap;

    va_start(ap, f);
    line("attack: ", YELLOW, f, ap);
    va_end(ap);
}

/* The OS trusts nobody, and nobody trusts its text to be text */
static unsigned printable(char *to, unsigned size, const uint8_t *text, uint64_t len)
{
    unsigned n = 0;

    while (n < size && n < len) {
        to[n] = text[n] == '\n' || (text[n] >= ' ' && text[n] < 0x7f) ? text[n] : '?';
        if (to[n++] == '\n') {
            break;
        }
    }
    return n;
}

void say_os(const uint8_t *text, uint64_t len)
{
    char part[256];

    colour = GREEN;
    while (len) {
        unsigned n = printable(part, sizeof(part), text, len);
        if (!os_line && part[0] != '\n') {
            puts("os: ");
        }
        os_line = part[n - 1] != '\n';
        put(part, n);
        text += n;
        len -= n;
    }
}
