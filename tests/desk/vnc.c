/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VNC client of libvncclient's.
 *
 *   vnc PORT get FILE    writes what the display shows, as PPM
 *   vnc PORT type TEXT   types it, as a person with a US keyboard would, and Enter
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rfb/rfbclient.h>

#define LIMIT_S         10
#define KEY_US          20000
#define WAIT_US         100000

static long drawn;              /* pixels so far: the first updates may have none */
static GotBitmapProc draw;

static void on_bitmap(rfbClient *c, const uint8_t *pixels, int x, int y, int w, int h)
{
    drawn += (long)w * h;
    draw(c, pixels, x, y, w, h);
}

static int write_ppm(rfbClient *c, const char *path)
{
    FILE *f = fopen(path, "wb");

    if (!f) {
        perror(path);
        return 1;
    }
    fprintf(f, "P6\n%d %d\n255\n", c->width, c->height);
    for (int n = 0; n < c->width * c->height; n++) {
        fwrite(c->frameBuffer + n * 4, 3, 1, f);
    }
    return fclose(f) != 0;
}

static int get(rfbClient *c, const char *path)
{
    while (drawn < (long)c->width * c->height) {
        int ready = WaitForMessage(c, WAIT_US);

        if (ready < 0 || (ready && !HandleRFBServerMessage(c))) {
            return 1;
        }
    }
    return write_ppm(c, path);
}

static void key(rfbClient *c, uint32_t keysym)
{
    SendKeyEvent(c, keysym, TRUE);
    usleep(KEY_US);
    SendKeyEvent(c, keysym, FALSE);
    usleep(KEY_US);
}

static int type(rfbClient *c, const char *text)
{
    for (; *text; text++) {
        if (isupper((unsigned char)*text)) {
            SendKeyEvent(c, XK_Shift_L, TRUE);
        }
        key(c, *text);
        if (isupper((unsigned char)*text)) {
            SendKeyEvent(c, XK_Shift_L, FALSE);
        }
    }
    key(c, XK_Return);
    return 0;
}

int main(int argc, char **argv)
{
    rfbClient *c = rfbGetClient(8, 3, 4);
    int status;

    if (argc != 4 || (strcmp(argv[2], "get") && strcmp(argv[2], "type"))) {
        fprintf(stderr, "usage: vnc PORT get FILE | vnc PORT type TEXT\n");
        return 2;
    }
    alarm(LIMIT_S);
    rfbEnableClientLogging = FALSE;
    c->appData.encodingsString = "raw";    /* all of it comes as bitmaps */
    draw = c->GotBitmap;
    c->GotBitmap = on_bitmap;
    c->serverHost = strdup("127.0.0.1");
    c->serverPort = atoi(argv[1]);
    if (!rfbInitClient(c, NULL, NULL)) {
        fprintf(stderr, "vnc: no VNC server at port %s\n", argv[1]);
        return 1;
    }
    status = !strcmp(argv[2], "get") ? get(c, argv[3]) : type(c, argv[3]);
    rfbClientCleanup(c);
    return status;
}
