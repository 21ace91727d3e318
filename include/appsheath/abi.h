/* SPDX-License-Identifier: MIT-0 */
/*
 * AppSheath: everything a guest, a key or a tool can see, defined once.
 *
 * Usable from C (hosted or freestanding) and from assembly (constants only,
 * when __ASSEMBLER__ is defined).  All integers are little-endian.  Rule ids
 * (W, A, D, L, E, X, P, F, K, T) are those of docs/specs/appsheath.rst.
 */
#ifndef APPSHEATH_ABI_H
#define APPSHEATH_ABI_H

#ifndef __ASSEMBLER__
#include <stdint.h>
#endif

#define AS_ABI_VERSION          1
#define AS_PAGE_SIZE            0x1000
#define AS_NAME_MAX             32      /* K1: 1 to 32 printable ASCII characters */
#define AS_HASH_SIZE            32      /* SHA-256 */

/* ------------------------------------------------------------------ */
/* Trusted DMA controller (tDMA): PCI identity and registers of BAR 0  */
/* ------------------------------------------------------------------ */

#define AS_PCI_VENDOR           0x1af4
#define AS_PCI_DEVICE           0x10f7
#define AS_TDMA_BAR             0       /* registers, 4 KiB */
#define AS_TDMA_MSIX_BAR        1       /* MSI-X table and PBA */
#define AS_TDMA_MAGIC           0x44545341      /* "ASTD" */

/* Registers are 32 bits wide and take aligned 4-byte accesses; those marked
 * (64) are a pair, low half first, and take aligned 8-byte accesses too. */
#define AS_REG_MAGIC            0x000   /* RO AS_TDMA_MAGIC */
#define AS_REG_VERSION          0x004   /* RO AS_ABI_VERSION */
#define AS_REG_CAPS             0x008   /* RO (64) AS_CAP_* */
#define AS_REG_WINDOW_BASE      0x010   /* RO (64) W1 */
#define AS_REG_WINDOW_SIZE      0x018   /* RO (64) W1 */
#define AS_REG_QUEUE_BASE       0x020   /* RW (64) physical address of the queue, 64-byte aligned */
#define AS_REG_QUEUE_SIZE       0x028   /* RW number of requests in it, 1 to AS_QUEUE_MAX */
#define AS_REG_CONTROL          0x02c   /* RW AS_CTRL_* */
#define AS_REG_DOORBELL         0x030   /* WO requests made so far, a free-running count */
#define AS_REG_DONE             0x034   /* RO requests done so far, a free-running count */
#define AS_REG_STATUS           0x038   /* RO AS_ST_* */
#define AS_REG_KEY              0x03c   /* RO AS_KEY_* as of the last read of the key */
#define AS_REG_DENIALS          0x040   /* RO (64) denials ever (A4) */
#define AS_REG_LOG_COUNT        0x048   /* RO records waiting in the denial log; repeats of one share it */
#define AS_REG_LOG_LOST         0x04c   /* RO records that found the log full */
#define AS_REG_LOG_PAGE         0x050   /* RO (64) first record: physical page, or window page for rules of the CPU */
#define AS_REG_LOG_INFO         0x058   /* RO (64) first record: AS_LOG_* fields */
#define AS_REG_LOG_POP          0x060   /* WO any value drops the first record */
#define AS_REG_NOTE_COUNT       0x068   /* RO notices waiting (P2, X4, T5) */
#define AS_REG_NOTE_LOST        0x06c   /* RO notices that found the list full: QUERY tells the state */
#define AS_REG_NOTE_WHAT        0x070   /* RO first notice: AS_NOTE_* */
#define AS_REG_NOTE_PSP         0x078   /* RO (64) first notice: the context */
#define AS_REG_NOTE_VA          0x080   /* RO (64) first notice: window page, where the kind has one */
#define AS_REG_NOTE_PAGE        0x088   /* RO (64) first notice: physical page, where the kind has one */
#define AS_REG_NOTE_POP         0x090   /* WO any value drops the first notice */
#define AS_REG_END              0x098

#define AS_CAP_HASH             (1 << 0)        /* key entries may match by hash (L2) */
#define AS_CAP_OPEN_CONTEXT     (1 << 1)        /* CREATE takes AS_CREATE_ALLOW_OPEN (L5) */
#define AS_CAP_LCD              (1 << 2)        /* a keyboard with an LCD is there (T) */

#define AS_CTRL_ENABLE          (1 << 0)        /* take requests; writing 0 stops after the current one */
#define AS_CTRL_RESET           (1 << 1)        /* kill every context (A8), then reset the registers (D5) */

#define AS_ST_BUSY              (1 << 0)        /* a request is being done */
#define AS_ST_QUEUE_ERROR       (1 << 1)        /* the queue could not be read: fix it, then CONTROL = 0, ENABLE */

#define AS_KEY_NONE             0       /* no key on the trusted port */
#define AS_KEY_PRESENT          1       /* something is plugged in, not read yet */
#define AS_KEY_GOOD             2
#define AS_KEY_BAD              3       /* K1: bad as a whole */

/* MSI-X vectors */
#define AS_IRQ_DONE             0       /* a request is done */
#define AS_IRQ_LOG              1       /* the denial log is no longer empty (A4, coalesced) */
#define AS_IRQ_NOTE             2       /* a notice waits (P2) */
#define AS_IRQ_INPUT            3       /* an input ring has data (T5) */
#define AS_IRQ_COUNT            4

/* AS_REG_LOG_INFO fields */
#define AS_LOG_RULE_SHIFT       0       /* bits 0-15: AS_RULE() of the rule that denied */
#define AS_LOG_MASTER_SHIFT     16      /* bits 16-31: AS_MASTER_CPU + index, AS_MASTER_DEVICE or AS_MASTER_TDMA */
#define AS_LOG_KIND_SHIFT       32      /* bits 32-35: AS_KIND_* */
#define AS_MASTER_CPU           0x0000
#define AS_MASTER_DEVICE        0x8000
#define AS_MASTER_TDMA          0x8001
#define AS_KIND_READ            0
#define AS_KIND_WRITE           1
#define AS_KIND_FETCH           2
#define AS_KIND_WALK            3       /* a page walk or another implicit access */
#define AS_KIND_ENTER           4
#define AS_KIND_PORT            5
#define AS_RULE(letter, number) (((letter) << 8) | (number))

/* AS_REG_NOTE_WHAT */
#define AS_NOTE_NONE            0
#define AS_NOTE_RELEASED        1       /* P2: VA and PAGE came back to the 'visor */
#define AS_NOTE_KILLED          2       /* X4, E8: hardware killed the context; its pages are free */
#define AS_NOTE_KEY             3       /* a key came or went */
#define AS_NOTE_TAKEN           4       /* P3: a pending page was taken (informative) */

/* ------------------------------------------------------------------ */
/* Requests (D)                                                        */
/* ------------------------------------------------------------------ */

#define AS_QUEUE_MAX            256
#define AS_LIST_MAX             (1 << 20)       /* pages in one request */

#define AS_OP_CREATE            1
#define AS_OP_ALLOC             2
#define AS_OP_DESTROY           3
#define AS_OP_OPEN              4
#define AS_OP_CLOSE             5
#define AS_OP_QUERY             6

#define AS_CREATE_ALLOW_OPEN    (1 << 0)        /* flags: an image that is not on the key gets an open context (L5) */

/* What a CREATE made: as_request.result */
#define AS_RESULT_TRUSTED       1
#define AS_RESULT_OPEN          2

/* Statuses.  A request that is wrong in several ways gets the first that
 * applies in the order of this list.  Pages are judged one after the other in
 * the order of the page list: AS_E_PAGE to AS_E_RANGE of page 0, then of page
 * 1, and so on (D1). */
#define AS_OK                   0
#define AS_PENDING              0xffffffff      /* not done yet: written by the 'visor before the doorbell */
#define AS_E_OP                 1       /* unknown op */
#define AS_E_FLAGS              2       /* unknown flag, or a field that must be zero is not */
#define AS_E_COUNT              3       /* no page, too many pages, or too many bytes */
#define AS_E_ADDRESS            4       /* base, va or psp unaligned, outside the window, or on the port page (W1, W6) */
#define AS_E_LIST               5       /* the page list or result buffer cannot be read or written (D4) */
#define AS_E_CONTEXT            6       /* no such context */
#define AS_E_PAGE               7       /* a page is unaligned or not boot-time RAM that can be protected (A5) */
#define AS_E_TWICE              8       /* a page is in the list twice */
#define AS_E_PROTECTED          9       /* a page belongs to a context already (D2) */
#define AS_E_BUSY               10      /* a device has a page mapped (A6): try again */
#define AS_E_RANGE              11      /* a window page in the range is taken (W2) */
#define AS_E_IMAGE              12      /* the image header is malformed, or wants another base or number of pages (L) */
#define AS_E_NO_KEY             13      /* no key on the trusted port (K1) */
#define AS_E_BAD_KEY            14      /* the key is bad as a whole (K1) */
#define AS_E_NOT_TRUSTED        15      /* the key does not name the image (L3) */
#define AS_E_OFFER              16      /* not what the program offered (P5), or no channel to close */
#define AS_E_DEVICE             17      /* no such device, or another channel has it */
#define AS_E_FULL               18      /* a table is full (D3) */
#define AS_E_OPEN_CONTEXT       19      /* an open context opens no channel (L5) */
#define AS_E_KILLED             20      /* a DESTROY overtook it (D) */

/* Trusted devices of OPEN, CLOSE and OFFER */
#define AS_DEV_KEYBOARD         1       /* direction AS_DIR_IN: a struct as_ring of keys */
#define AS_DEV_LCD              2       /* direction AS_DIR_OUT: a struct as_line (T4) */
#define AS_DIR_IN               0
#define AS_DIR_OUT              1

/* QUERY: as_request.device selects what is written to the buffer at .list,
 * of .len bytes; .result is the number of bytes written. */
#define AS_QUERY_SUMMARY        0       /* struct as_summary */
#define AS_QUERY_CONTEXTS       1       /* struct as_context_info each */
#define AS_QUERY_PAGES          2       /* struct as_page_info each, of the context .psp */

#ifndef __ASSEMBLER__

/**
 * struct as_request - one request to the trusted DMA controller, 64 bytes
 * @op: AS_OP_*
 * @flags: of that op, else 0
 * @psp: window address of the context's PSP; for CREATE the base wanted, which becomes it
 * @va: first window address (ALLOC, OPEN, CLOSE), else 0
 * @list: physical address, 8-byte aligned, of @count page addresses (u64) for
 *        CREATE and ALLOC; of the result buffer for QUERY; else 0
 * @count: pages in the list
 * @device: AS_DEV_* (OPEN, CLOSE) or AS_QUERY_*, else 0
 * @direction: AS_DIR_* (OPEN, CLOSE), else 0
 * @reserved: 0
 * @len: bytes (OPEN, CLOSE: of the ring; QUERY: of the buffer), else 0
 * @status: written last by the controller: AS_OK or AS_E_*
 * @result: of the op: AS_RESULT_* (CREATE), bytes (QUERY), else 0; the index
 *          of the offending page where the status is about one
 *
 * The controller copies the request whole before it looks at it, so changing
 * it afterwards does nothing.
 */
struct as_request {
    uint32_t op;
    uint32_t flags;
    uint64_t psp;
    uint64_t va;
    uint64_t list;
    uint32_t count;
    uint16_t device;
    uint16_t direction;
    uint64_t reserved;
    uint64_t len;
    uint32_t status;
    uint32_t result;
};

/**
 * struct as_summary - answer to AS_QUERY_SUMMARY
 * @caps: AS_CAP_*
 * @window_base: W1, bytes
 * @window_size: W1, bytes
 * @contexts: living contexts
 * @pages: pages owned by them
 * @denials: ever
 * @key: AS_KEY_*
 * @reserved: 0
 * @max_contexts: how many can live at once
 */
struct as_summary {
    uint64_t caps;
    uint64_t window_base;
    uint64_t window_size;
    uint64_t contexts;
    uint64_t pages;
    uint64_t denials;
    uint32_t key;
    uint32_t reserved;
    uint64_t max_contexts;
};

/**
 * struct as_context_info - one context in the answer to AS_QUERY_CONTEXTS
 * @psp: window address of its PSP
 * @pages: pages it owns, pending ones included
 * @kind: AS_RESULT_TRUSTED or AS_RESULT_OPEN
 * @level: 0 or 3
 * @depth: frames saved
 * @cpu: index of the vCPU inside, or 0xffffffff
 */
struct as_context_info {
    uint64_t psp;
    uint64_t pages;
    uint32_t kind;
    uint32_t level;
    uint32_t depth;
    uint32_t cpu;
};

/**
 * struct as_page_info - one page in the answer to AS_QUERY_PAGES
 * @va: window page
 * @page: physical page
 */
struct as_page_info {
    uint64_t va;
    uint64_t page;
};

#endif /* !__ASSEMBLER__ */

/* ------------------------------------------------------------------ */
/* Image header and Program Status Page (PSP)                          */
/* ------------------------------------------------------------------ */

/* The image: page 0 is the PSP template, the program follows at base + 0x1000.
 * Bytes 0 to AS_PSP_HW of page 0 are this measured header, the rest is zero. */
#define AS_IMG_MAGIC            0x0048544145485341      /* "ASHEATH\0" */
#define AS_IMG_MAGIC_OFF        0x00    /* u64 AS_IMG_MAGIC */
#define AS_IMG_VERSION          0x08    /* u32 AS_ABI_VERSION */
#define AS_IMG_FLAGS            0x0c    /* u32 0 */
#define AS_IMG_IMAGE_BYTES      0x10    /* u64 bytes of the image, page 0 included: what is hashed (L2) */
#define AS_IMG_MEMORY_BYTES     0x18    /* u64 bytes of memory, a multiple of the page size; the tail is zero-filled */
#define AS_IMG_TEXT_BYTES       0x20    /* u64 bytes of text from base + 0x1000, a multiple of the page size (L4) */
#define AS_IMG_LINK_BASE        0x28    /* u64 the base it must have, 0: any (position-independent) */
#define AS_IMG_LEVEL            0x30    /* u32 privilege level it runs at: 0 or 3 */
#define AS_IMG_RESERVED0        0x34    /* u32 0 */
#define AS_IMG_XCR0             0x38    /* u64 XCR0 bits that must be enabled (E5); AS_XCR0_KNOWN only */
#define AS_IMG_CR4              0x40    /* u64 CR4 bits that must be enabled (E5); AS_CR4_KNOWN only */
#define AS_IMG_RESERVED1        0x48    /* 0 up to 0x80 */

#define AS_XCR0_KNOWN           0x7             /* x87, SSE, AVX */
#define AS_CR4_KNOWN            0x50600         /* OSFXSR, OSXMMEXCPT, FSGSBASE, OSXSAVE */

#define AS_TEXT_OFF             0x1000  /* first address of the program (E2) */

/* What hardware writes to the PSP once the image is a context.  The program
 * may read and write the page as its own memory; hardware never believes it
 * (level, depth and bounds live in the arbiter). */
#define AS_PSP_SELF             0x80    /* u64 window address of this page */
#define AS_PSP_PORT             0x88    /* u64 window address of the port page (W6) */
#define AS_PSP_DEPTH            0x90    /* u64 saved frames, as of the last ENTER or event */
#define AS_PSP_RPC              0xa0    /* u64[AS_FRAMES]: requested program counter of the START at that depth (E2) */
#define AS_PSP_FRAMES           0x200   /* AS_FRAMES frames of AS_FRAME_SIZE bytes, frame 0 first */

#define AS_FRAMES               4       /* a START needs a free one (E5) */
#define AS_FRAME_SIZE           0x380
#define AS_RESUME_OFF           0x800   /* resume point of frame n: PSP + AS_RESUME_OFF + AS_RESUME_STEP * n (E2) */
#define AS_RESUME_STEP          16

/* Frame offsets */
#define AS_FR_GPR               0x000   /* u64[16]: rax rcx rdx rbx rsp rbp rsi rdi r8..r15 */
#define AS_FR_RIP               0x080
#define AS_FR_RFLAGS            0x088
#define AS_FR_FS_BASE           0x090
#define AS_FR_GS_BASE           0x098
#define AS_FR_CAUSE             0x0a0   /* u32 AS_CAUSE_* */
#define AS_FR_VECTOR            0x0a4   /* u32 vector; AS_VECTOR_NONE where there is none or the 'visor chooses it */
#define AS_FR_ERROR             0x0a8   /* u64 error code */
#define AS_FR_CR2               0x0b0   /* u64 full faulting address of a #PF, nested page fault or F1 */
#define AS_FR_EXIT_CODE         0x0b8   /* u64 AS_CAUSE_VMEXIT: the exit code */
#define AS_FR_EXIT_INFO         0x0c0   /* u64 AS_CAUSE_VMEXIT: exit_info_1 as hardware had it */
#define AS_FR_PKRU              0x0c8   /* u32 */
#define AS_FR_SHADOW            0x0cc   /* u32 1: in an interrupt shadow */
#define AS_FR_FX                0x0e0   /* 416 bytes: x87, MXCSR and XMM as FXSAVE64 lays them out */
#define AS_FR_YMM_HIGH          0x280   /* u8[16][16]: upper halves of YMM0-15 */
#define AS_FX_SIZE              416

#define AS_VECTOR_NONE          0xffffffff

#define AS_CAUSE_NONE           0
#define AS_CAUSE_INTERRUPT      1       /* external interrupt; its vector is the 'visor's business */
#define AS_CAUSE_NMI            2
#define AS_CAUSE_EXCEPTION      3       /* VECTOR, ERROR, CR2 */
#define AS_CAUSE_SOFTWARE       4       /* INT n, INT3: VECTOR; INT1 is a #DB exception, as in the architecture */
#define AS_CAUSE_SYSCALL        5
#define AS_CAUSE_VMEXIT         6       /* EXIT_CODE, EXIT_INFO */
#define AS_CAUSE_SMI            7
#define AS_CAUSE_INIT           8
#define AS_CAUSE_MCE            9
#define AS_CAUSE_WINDOW         10      /* F1: CR2 is the window address, ERROR the true access */
#define AS_CAUSE_FORM           11      /* F2: CR2 is the window address, ERROR the true access */

/* Error-code bit 15 of a #PF: denied by the arbiter, page tables cannot mend it (A3) */
#define AS_PF_DENIED            0x8000

/* ------------------------------------------------------------------ */
/* Port: the lowest page of the window, inside a context (P)           */
/* ------------------------------------------------------------------ */

/* Aligned 8-byte moves only; anything else is F2.  A write to a command
 * register does the command; its outcome is then in AS_PORT_RESULT, which
 * each depth has its own of, so that a handler does not disturb it. */
#define AS_PORT_PSP             0x000   /* RO PSP of the current context */
#define AS_PORT_DEPTH           0x008   /* RO saved frames */
#define AS_PORT_VERSION         0x010   /* RO AS_ABI_VERSION */
#define AS_PORT_RESULT          0x018   /* RO AS_P_* of the last command at this depth */
#define AS_PORT_RELEASE         0x020   /* WO P2: window page */
#define AS_PORT_TAKE            0x028   /* WO P3: window page | (pages - 1), 1 to 4096 pages */
#define AS_PORT_RESUME          0x030   /* WO P4: any value */
#define AS_PORT_OFFER           0x038   /* WO P5: window page | device << 8 | direction << 4 | (pages - 1), 1 to 16 pages */
#define AS_PORT_END             0x040

#define AS_OFFER_PAGES_MAX      16
#define AS_TAKE_PAGES_MAX       4096

#define AS_P_OK                 0
#define AS_P_ADDRESS            1       /* outside the window, or the port page */
#define AS_P_NOT_OWN            2       /* RELEASE of a page that is not the context's, or not taken */
#define AS_P_REFUSED            3       /* RELEASE of the PSP, of text or of a page of an open channel; TAKE of a page it has */
#define AS_P_NO_FRAME           4       /* RESUME at depth 0 */
#define AS_P_FULL               5       /* too many TAKEs or OFFERs outstanding (D3) */

/* ------------------------------------------------------------------ */
/* Trusted input and output (T)                                        */
/* ------------------------------------------------------------------ */

#define AS_RING_PRODUCED        0x00    /* u32 hardware: events ever put in */
#define AS_RING_CONSUMED        0x04    /* u32 program: events ever taken out */
#define AS_RING_CAPACITY        0x08    /* u32 hardware: entries, a power of two */
#define AS_RING_DROPPED         0x0c    /* u32 hardware: events that found the ring full */
#define AS_RING_ENTRIES         0x40    /* struct as_key_event[capacity] */
#define AS_LINE_TEXT            0x00    /* T4: up to 32 characters, ended by 0 */

#ifndef __ASSEMBLER__

/**
 * struct as_key_event - one key going down or up
 * @seq: number of the event since the channel was opened, drops counted, from 0
 * @code: key, as Linux input codes (KEY_A is 30)
 * @down: 1 press, 0 release
 * @reserved: 0
 */
struct as_key_event {
    uint32_t seq;
    uint16_t code;
    uint8_t down;
    uint8_t reserved;
};

/**
 * struct as_ring - head of an input ring, at its first byte
 *
 * Hardware owns @produced and keeps its own copy; it masks what it reads of
 * @consumed.  The ring is full when produced - consumed == capacity.
 */
struct as_ring {
    uint32_t produced;
    uint32_t consumed;
    uint32_t capacity;
    uint32_t dropped;
    uint8_t reserved[48];
    struct as_key_event entries[];
};

#endif /* !__ASSEMBLER__ */

/* ------------------------------------------------------------------ */
/* User key (K)                                                        */
/* ------------------------------------------------------------------ */

/* A key is a header of 128 bytes, a table of 128-byte entries right behind
 * it, then the data of the data entries; padded with zeros to 512 bytes.  It
 * lies at the first byte of the storage device.  Bytes beyond @bytes do not
 * count.  The checksum is CRC-32 (IEEE 802.3, as in zlib) of the first @bytes
 * bytes with the field @crc taken as zero: it finds accidents, not enemies. */
#define AS_KEY_MAGIC            0x0059454b48545341      /* "ASTHKEY\0" */
#define AS_KEY_VERSION          1
#define AS_KEY_ENTRIES_MAX      256
#define AS_KEY_BYTES_MAX        (64 << 20)
#define AS_KEY_HASH             1
#define AS_KEY_DATA             2

#ifndef __ASSEMBLER__

/**
 * struct as_key_header - first 128 bytes of a key
 * @magic: AS_KEY_MAGIC
 * @version: AS_KEY_VERSION
 * @crc: see above
 * @bytes: bytes of the whole key, a multiple of 512
 * @entries: number of entries, 0 to AS_KEY_ENTRIES_MAX
 * @reserved: 0
 */
struct as_key_header {
    uint64_t magic;
    uint32_t version;
    uint32_t crc;
    uint64_t bytes;
    uint32_t entries;
    uint32_t reserved[25];
};

/**
 * struct as_key_entry - a name and what it stands for
 * @type: AS_KEY_HASH or AS_KEY_DATA
 * @name_len: 1 to AS_NAME_MAX
 * @offset: AS_KEY_DATA: of the data in the key, after the table; else 0
 * @len: AS_KEY_DATA: bytes of the data, at least a page; else 0
 * @hash: AS_KEY_HASH: SHA-256 of the image bytes; else 0
 * @name: the name, filled up with zeros
 * @reserved: 0
 */
struct as_key_entry {
    uint32_t type;
    uint32_t name_len;
    uint64_t offset;
    uint64_t len;
    uint8_t hash[AS_HASH_SIZE];
    char name[AS_NAME_MAX];
    uint8_t reserved[40];
};

#if defined(__GNUC__) && defined(__SIZEOF_INT128__)
#define AS_CHECK(what, offset) _Static_assert((what) == (offset), #what)
AS_CHECK(sizeof(struct as_request), 64);
AS_CHECK(__builtin_offsetof(struct as_request, psp), 8);
AS_CHECK(__builtin_offsetof(struct as_request, va), 16);
AS_CHECK(__builtin_offsetof(struct as_request, list), 24);
AS_CHECK(__builtin_offsetof(struct as_request, count), 32);
AS_CHECK(__builtin_offsetof(struct as_request, device), 36);
AS_CHECK(__builtin_offsetof(struct as_request, direction), 38);
AS_CHECK(__builtin_offsetof(struct as_request, reserved), 40);
AS_CHECK(__builtin_offsetof(struct as_request, len), 48);
AS_CHECK(__builtin_offsetof(struct as_request, status), 56);
AS_CHECK(__builtin_offsetof(struct as_request, result), 60);
AS_CHECK(sizeof(struct as_summary), 64);
AS_CHECK(__builtin_offsetof(struct as_summary, key), 48);
AS_CHECK(__builtin_offsetof(struct as_summary, max_contexts), 56);
AS_CHECK(sizeof(struct as_context_info), 32);
AS_CHECK(sizeof(struct as_page_info), 16);
AS_CHECK(sizeof(struct as_key_event), 8);
AS_CHECK(__builtin_offsetof(struct as_key_event, code), 4);
AS_CHECK(__builtin_offsetof(struct as_key_event, down), 6);
AS_CHECK(__builtin_offsetof(struct as_ring, produced), AS_RING_PRODUCED);
AS_CHECK(__builtin_offsetof(struct as_ring, consumed), AS_RING_CONSUMED);
AS_CHECK(__builtin_offsetof(struct as_ring, capacity), AS_RING_CAPACITY);
AS_CHECK(__builtin_offsetof(struct as_ring, dropped), AS_RING_DROPPED);
AS_CHECK(__builtin_offsetof(struct as_ring, entries), AS_RING_ENTRIES);
AS_CHECK(sizeof(struct as_key_header), 128);
AS_CHECK(__builtin_offsetof(struct as_key_header, bytes), 16);
AS_CHECK(__builtin_offsetof(struct as_key_header, entries), 24);
AS_CHECK(sizeof(struct as_key_entry), 128);
AS_CHECK(__builtin_offsetof(struct as_key_entry, offset), 8);
AS_CHECK(__builtin_offsetof(struct as_key_entry, hash), 24);
AS_CHECK(__builtin_offsetof(struct as_key_entry, name), 56);
AS_CHECK(AS_PSP_FRAMES + AS_FRAMES * AS_FRAME_SIZE, AS_PAGE_SIZE);
AS_CHECK(AS_PSP_RPC + 8 * AS_FRAMES <= AS_PSP_FRAMES, 1);
AS_CHECK(AS_FR_FX + AS_FX_SIZE, AS_FR_YMM_HIGH);
AS_CHECK(AS_FR_YMM_HIGH + 16 * 16, AS_FRAME_SIZE);
AS_CHECK(AS_RESUME_OFF + AS_FRAMES * AS_RESUME_STEP <= AS_PAGE_SIZE, 1);
#undef AS_CHECK
#endif

#endif /* !__ASSEMBLER__ */
#endif /* APPSHEATH_ABI_H */
