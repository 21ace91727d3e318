/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages: their states, pins, TLBs and SLBs, channels, kill.
 *
 * RAM pages x window pages x contexts x vCPUs x a DMA device x the controller.
 * A step is what no other thread can see the middle of: what is done with the
 * arbiter's lock, with zero_lock, or between two points where a vCPU can be
 * stopped.  Each is marked with the function that it stands for.
 *
 * Properties, as they are named in the assertions below:
 *   PIN     a device never has a page mapped that is locked for good (A6)
 *   OUTSIDE nobody outside reads what a program wrote or changes what is
 *           locked (A2, A7, L1)
 *   SERVE   an SLB serves a page to its owner alone, at its place (W2, A7)
 *   FRESH   a program finds its own data, its image or zeros (A8, L1)
 *   TAKEN   ... and only in pages that it took (P3)
 *   ZERO    a page that is given back is zero (A8)
 *   WHOLE   after a kill nothing of the context is left, nobody is in it (X5)
 *   CHANNEL the controller writes keys to pages of the channel's owner (P5)
 *   ABOUT   the controller zeroes pages of the context it is about alone (D5)
 *   SPACE   two contexts never have one name (W2)
 *
 * -DBUG=x takes out one guard; "make check-model" sees that this then breaks
 * the property that stands beside it in model.py.
 */
#define A6_ORDER 1
#define A6_PIN 2
#define A6_RECHECK 3
#define A7_TLB 4
#define A7_SLB 5
#define A7_SWITCH 6
#define A7_FORGET 7
#define A8_ALLOC 8
#define A8_RELEASE 9
#define A8_ORDER 10
#define A8_KILL 11
#define L1_LOCK 12
#define L1_RCU 13
#define W2_OWNER 14
#define W2_RANGE 15
#define D2_FRAME 16
#define P3_TAKE 17
#define P5_REFUSE 18
#define X4_ORDER 19
#define X5_THROW 20
#define X5_CONDEMNED 21
#define D5_EPOCH 22
#define ID 23

#ifndef BUG
#define BUG 0
#endif
#define ON(guard) (BUG != guard)

/* All of it at once has too many states: model.py runs it in several parts */
#ifndef RAM
#define RAM 2               /* pages of RAM */
#endif
#define VAS 2               /* pages of the window */
#ifndef CTXS
#define CTXS 2              /* contexts at once */
#endif
#ifndef CPUS
#define CPUS 2              /* vCPUs */
#endif
#ifndef DEVICE
#define DEVICE 1            /* is there a DMA device? */
#endif
#ifndef CHANNELS
#define CHANNELS 1          /* are channels opened? */
#endif
#ifndef WAITS
#define WAITS 1             /* does a TAKE wait for pages to come? */
#endif
#ifndef TLBS
#define TLBS 1              /* do TLBs keep what they hold? */
#endif
#ifndef BASES
#define BASES 1             /* does the 'visor choose where a context lies? */
#endif
#ifndef RESETS
#define RESETS 1            /* is the machine reset? */
#endif
#define NONE 7

/* model.py reads the name */
#define ASSERT(name, what) if :: what :: else -> printf("broken: "); printf(#name); printf("\n"); assert(false) fi

/* states of a page: core/arbiter.h */
#define FREE 0
#define LOCKED 1
#define PENDING 2
#define OWN 3

/* what it holds */
#define VISORS 0
#define ZERO 1
#define IMAGE 2             /* hashed */
#define SECRET 3            /* + context */

typedef Page {
    byte state, owner, va, holds, pins;
    bit prot;               /* the arbiter's bitmap */
    bit mapped;             /* by a device, for good */
    bit sealed;             /* ghost: nothing outside may reach it any more */
    bit taken;              /* ghost: the program accepted it */
}
typedef Context {
    bit exists, alive, condemned;
    byte psp, cpu;
    bit waits[VAS];         /* TAKEs */
}
typedef Cpu {
    byte ctx;               /* inside, or NONE */
    bit busy;               /* between two points where it can be stopped */
    byte id;                /* whose answers the SLB holds */
    bit fresh;              /* ... and no page was taken away since */
    byte slb[VAS];          /* RAM page, or NONE */
    bit tlb[RAM];           /* outside: the page is reached without asking */
}

Page page[RAM];
Context context[2];
Cpu cpu[2];
byte by_va[VAS];
bit stopped;                /* tdma_stop_world() */
bit rcu;                    /* a device is in the middle of a short transfer */
bit aborted;                /* the machine was reset during this request */
byte channel = NONE, ring = NONE;

#define is_secret(f) (page[f].holds >= SECRET)
#define all_stand (!cpu[0].busy && !cpu[1].busy)

inline any(which, most) { which = 0; do :: which < most - 1 -> which++ :: break od }

inline outside_access(f)
{
    ASSERT(OUTSIDE, !is_secret(f));
    if
    :: skip                                     /* read */
    :: ASSERT(OUTSIDE, !page[f].sealed);        /* write */
       page[f].holds = VISORS
    fi
}

/* ------------------------------------------------------------------ */
/* core/arbiter.c                                                      */
/* ------------------------------------------------------------------ */

/* as_remove_page(): the counter of changes tells the SLBs (A7) */
inline remove_page(f)
{
    d_step {
        if
        :: by_va[page[f].va] == f -> by_va[page[f].va] = NONE
        :: else
        fi;
        if
        :: cpu[0].id == page[f].owner -> cpu[0].fresh = 0
        :: else
        fi;
        if
        :: cpu[1].id == page[f].owner -> cpu[1].fresh = 0
        :: else
        fi;
        page[f].state = FREE; page[f].owner = NONE; page[f].va = 0;
        page[f].prot = 0; page[f].sealed = 0; page[f].taken = 0;
        if
        :: page[f].holds == IMAGE -> page[f].holds = VISORS
        :: else
        fi
    }
}

/* as_hide() */
inline hide(c)
{
    d_step {
        context[c].alive = 0;
        i = 0;
        do
        :: i < RAM && page[i].owner == c && by_va[page[i].va] == i ->
           by_va[page[i].va] = NONE; i++
        :: i < RAM && !(page[i].owner == c && by_va[page[i].va] == i) -> i++
        :: else -> break
        od;
        i = 0
    }
}

/* as_context_free(); ids are never used twice */
inline context_free(c)
{
    i = 0;
    do
    :: i < RAM && page[i].owner == c -> remove_page(i); i++
    :: i < RAM && page[i].owner != c -> i++
    :: else -> break
    od;
    i = 0;
    d_step {
        ASSERT(WHOLE, cpu[0].ctx != c && cpu[1].ctx != c);
        ASSERT(WHOLE, context[c].cpu == NONE);
        ASSERT(WHOLE, !context[c].condemned);
        ASSERT(WHOLE, channel != c);
        context[c].exists = 0; context[c].alive = 0; context[c].psp = 0;
        context[c].waits[0] = 0; context[c].waits[1] = 0;
        if
        :: cpu[0].id == c && ON(ID) -> cpu[0].id = NONE
        :: cpu[0].id == c && !ON(ID) -> cpu[0].fresh = 1
        :: else
        fi;
        if
        :: cpu[1].id == c && ON(ID) -> cpu[1].id = NONE
        :: cpu[1].id == c && !ON(ID) -> cpu[1].fresh = 1
        :: else
        fi
    }
}

/* ------------------------------------------------------------------ */
/* A vCPU: target/i386/slb/*.c                                         */
/* ------------------------------------------------------------------ */

/* flush() of cache.c */
inline flush(v) { cpu[v].slb[0] = NONE; cpu[v].slb[1] = NONE }

/* slb_enter(), slb_select() */
inline enter(v, c)
{
    cpu[v].ctx = c; context[c].cpu = v;
    if
    :: cpu[v].id != c && ON(A7_SWITCH) -> flush(v)
    :: cpu[v].id == c && !cpu[v].fresh && ON(A7_SLB) -> flush(v)
    :: else
    fi;
    cpu[v].id = c; cpu[v].fresh = 1
}

/* step_outside() of stay.c */
inline step_out(v, c) { cpu[v].ctx = NONE; context[c].cpu = NONE }

/* fill_window(), slb_lookup(), ask_arbiter(), then the access itself */
inline inside_access(v, c, a)
{
    f = cpu[v].slb[a];
    if
    :: f == NONE && by_va[a] != NONE ->
       f = by_va[a];
       if
       :: page[f].state == OWN && (page[f].owner == c || !ON(W2_OWNER)) ->
          cpu[v].slb[a] = f
       :: else -> f = NONE                      /* F1 */
       fi
    :: else
    fi;
    if
    :: f != NONE ->
       ASSERT(SERVE, page[f].owner == c && page[f].va == a);
       ASSERT(FRESH, page[f].holds == ZERO || page[f].holds == IMAGE ||
                     page[f].holds == SECRET + c);
       ASSERT(TAKEN, page[f].taken);
       page[f].holds = SECRET + c
    :: else
    fi;
    f = 0
}

/* as_take() */
inline take(c, a)
{
    if
    :: by_va[a] != NONE && page[by_va[a]].owner == c ->
       if
       :: page[by_va[a]].state == PENDING ->
          page[by_va[a]].state = OWN; page[by_va[a]].taken = 1
       :: page[by_va[a]].state == LOCKED -> context[c].waits[a] = WAITS
       :: else
       fi
    :: else -> context[c].waits[a] = WAITS
    fi
}

/* port_release(): as_may_release() */
#define may_release(c, a) (by_va[a] != NONE && page[by_va[a]].owner == c && \
    page[by_va[a]].state == OWN && a != context[c].psp && \
    (ring != by_va[a] || !ON(P5_REFUSE)))

proctype vcpu(byte v)
{
    byte f, a, c, i;

    do
    :: atomic {                                 /* fill_outside() */
        !stopped && cpu[v].ctx == NONE -> any(f, RAM);
        if
        :: cpu[v].tlb[f] || !page[f].prot ->
           cpu[v].tlb[f] = TLBS; outside_access(f)
        :: else                                 /* A2 */
        fi;
        f = 0
       }
    :: atomic {                                 /* slb_enter() */
        !stopped && cpu[v].ctx == NONE -> any(c, CTXS);
        if
        :: context[c].alive && context[c].cpu == NONE -> enter(v, c)
        :: else
        fi;
        c = 0
       }
    :: atomic {
        !stopped && cpu[v].ctx != NONE -> any(a, VAS);
        c = cpu[v].ctx; inside_access(v, c, a); a = 0; c = 0
       }
    :: atomic {
        !stopped && cpu[v].ctx != NONE -> any(a, VAS);
        c = cpu[v].ctx; take(c, a); a = 0; c = 0
       }
    :: atomic {                                 /* an event or a jump out */
        !stopped && cpu[v].ctx != NONE -> c = cpu[v].ctx;
        step_out(v, c); c = 0
       }
    :: atomic {                                 /* port_release() */
        !stopped && cpu[v].ctx != NONE -> any(a, VAS); c = cpu[v].ctx;
        if
        :: may_release(c, a) ->
           cpu[v].busy = 1; f = by_va[a];
           if :: ON(A7_FORGET) -> cpu[v].slb[a] = NONE :: else fi
        :: else -> a = 0; c = 0; goto next
        fi
       };
       atomic {
        if
        :: ON(A8_RELEASE) && ON(A8_ORDER) -> page[f].holds = ZERO
        :: else
        fi };
       atomic {
        remove_page(f);
        cpu[v].fresh = 1                        /* s->changes = c->changes */
       };
       atomic {
        if :: !ON(A8_ORDER) -> page[f].holds = ZERO :: else fi };
       atomic { cpu[v].busy = 0; f = 0; a = 0; c = 0 }
next:  skip
    :: atomic {                                 /* slb_kill() */
        !stopped && cpu[v].ctx != NONE -> c = cpu[v].ctx; cpu[v].busy = 1 };
       atomic { if :: ON(X4_ORDER) -> hide(c) :: else -> step_out(v, c) fi };
       atomic { if :: ON(X4_ORDER) -> step_out(v, c) :: else -> hide(c) fi };
       atomic {                                 /* on_condemned() */
        context[c].condemned = 1; c = 0; cpu[v].busy = 0 }
    od
}

/* ------------------------------------------------------------------ */
/* A DMA device: hw/appsheath/arbiter.c                                */
/* ------------------------------------------------------------------ */

proctype device()
{
    byte f;

    do
    :: atomic { any(f, RAM);                    /* arbiter_dma_map() */
        if
        :: ON(A6_ORDER) -> page[f].pins++
        :: !ON(A6_ORDER) && page[f].prot -> f = 0; goto over
        :: else
        fi };
       atomic {
        if
        :: ON(A6_ORDER) && page[f].prot -> page[f].pins--; f = 0; goto over
        :: !ON(A6_ORDER) -> page[f].pins++
        :: else
        fi;
        page[f].mapped = 1;
        ASSERT(PIN, !page[f].sealed) };
       do
       :: atomic { outside_access(f) }
       :: break
       od;
       atomic { page[f].mapped = 0; page[f].pins--; f = 0 };
over:  skip
    :: atomic { any(f, RAM); rcu = 1;           /* arbiter_translate() */
        if :: page[f].prot -> rcu = 0; f = 0; goto done :: else fi };
       atomic { outside_access(f); rcu = 0; f = 0 };
done:  skip
    od
}

/* ------------------------------------------------------------------ */
/* The controller: hw/appsheath/tdma*.c                                */
/* ------------------------------------------------------------------ */

/* tdma_stop_world(tdma_step_add_pages): judge_page(), lock_page(); the device runs on.
 * good: is the page locked? */
inline add_page(c, a, f)
{
    good = 0;
    atomic { all_stand && !stopped -> stopped = 1;
        if :: aborted -> stopped = 0; goto done :: else fi };
    if
    :: (page[f].owner != NONE && ON(D2_FRAME)) ||
       (page[f].pins && ON(A6_PIN)) || (by_va[a] != NONE && ON(W2_RANGE))
    :: else ->
       atomic {                                                 /* add_page() */
        page[f].state = LOCKED; page[f].owner = c; page[f].va = a;
        by_va[a] = f; page[f].prot = ON(L1_LOCK) || context[c].alive };
       if                                       /* the fence, then A6 again */
       :: page[f].pins && ON(A6_PIN) && ON(A6_RECHECK) -> remove_page(f)
       :: else -> good = 1
       fi
    fi;
    atomic {
        if                                      /* flush_tlbs() */
        :: ON(A7_TLB) -> cpu[0].tlb[f] = 0; cpu[1].tlb[f] = 0
        :: else
        fi;
        stopped = 0 }
}

/* synchronize_rcu(): devices under way have ended */
#define wait_for_devices (!rcu || !ON(L1_RCU))

/* zero_thread(), zero_one(): under zero_lock */
inline zero(c, f)
{
    atomic {
        if :: aborted && ON(D5_EPOCH) -> goto done :: else fi;
        ASSERT(ABOUT, page[f].owner == c);
        ASSERT(PIN, !page[f].mapped);
        page[f].holds = ZERO; page[f].sealed = 1
    }
}

/* close_channels_of() */
inline close_channels(c)
{
    if :: channel == c -> channel = NONE; ring = NONE :: else fi
}

/* bury(): nobody is inside or can enter; zero, then free */
inline bury(c)
{
    atomic { close_channels(c) };
    wait_for_devices;
    n = 0;
    do
    :: n < RAM && page[n].owner == c ->
       if :: ON(A8_KILL) -> zero(c, n) :: else fi;
       n++
    :: n < RAM && page[n].owner != c -> n++
    :: else -> break
    od;
    atomic {
        n = 0;
        if :: aborted -> goto done :: else fi;
        do
        :: n < RAM -> ASSERT(ZERO, page[n].owner != c || page[n].holds == ZERO); n++
        :: else -> break
        od;
        n = 0; context_free(c)
    }
}

/* tdma_do_create() with a list of one page, the PSP; doomed ones end as those
 * that are not on the key do */
inline create()
{
    atomic {
        any(c, CTXS); any(f, RAM); any(a, VAS);
        if :: context[c].exists -> goto done :: else fi;
        context[c].exists = 1; a = (BASES -> a : c);
        context[c].psp = a; context[c].cpu = NONE
    };
    add_page(c, a, f);
    if
    :: !good -> atomic { context_free(c); goto done }
    :: else
    fi;
    wait_for_devices;                           /* make_context() */
    atomic {                                    /* trial_thread() */
        if :: aborted -> goto done :: else fi;
        ASSERT(PIN, !page[f].mapped);
        page[f].sealed = 1; page[f].holds = IMAGE
    };
    atomic {
        if
        :: aborted                              /* tdma_kill_all() freed it */
        :: !aborted -> context_free(c)          /* unlock_context() */
        :: !aborted ->                          /* finish_context() */
           page[f].state = OWN; page[f].taken = 1; page[f].prot = 1;
           n = 0;
           do
           :: n < CTXS -> ASSERT(SPACE, !context[n].alive || context[n].psp != a); n++
           :: else -> break
           od;
           context[c].alive = 1
        fi
    }
}

/* tdma_do_alloc() of one page */
inline alloc()
{
    atomic {
        any(c, CTXS); any(f, RAM); any(a, VAS);
        if :: !context[c].alive -> goto done :: else fi     /* find_context() */
    };
    add_page(c, a, f);
    if :: !good -> goto done :: else fi;
    wait_for_devices;
    if :: ON(A8_ALLOC) -> zero(c, f) :: else fi;
    atomic {                                    /* pages_arrived(), as_arrived() */
        if :: aborted -> goto done :: else fi;
        if
        :: context[c].waits[a] ->
           context[c].waits[a] = 0; page[f].state = OWN; page[f].taken = 1
        :: else -> page[f].state = (ON(P3_TAKE) -> PENDING : OWN)
        fi
    }
}

#define inside(v, c) (cpu[v].ctx == c && ON(X5_THROW))

/* tdma_kill_context(): step_hide(), bury() */
inline kill(c)
{
    atomic { close_channels(c) };
    atomic { all_stand && !stopped ->           /* tdma_stop_world(step_hide) */
        if :: aborted -> goto done :: else fi;
        if :: inside(0, c) -> step_out(0, c) :: else fi;
        if :: inside(1, c) -> step_out(1, c) :: else fi;
        hide(c);
        if                                      /* forget_condemned() */
        :: ON(X5_CONDEMNED) -> context[c].condemned = 0
        :: else
        fi
    };
    bury(c)
}

/* tdma_do_destroy(); CTRL_RESET does it with each that lives (reset_controller()) */
inline destroy()
{
    atomic { any(c, CTXS); if :: !context[c].alive -> goto done :: else fi };
    kill(c)
}

/* tdma_bury_condemned() */
inline bury_condemned()
{
    atomic { any(c, CTXS);
        if :: !context[c].condemned -> goto done :: else fi;
        context[c].condemned = 0 };
    bury(c)
}

/* tdma_do_open(), step_open(): of one page that is offered */
inline open_channel()
{
    atomic { any(c, CTXS); any(a, VAS);
        if :: !context[c].alive || channel != NONE -> goto done :: else fi };
    atomic { all_stand && !stopped ->
        if
        :: !aborted && by_va[a] != NONE && page[by_va[a]].owner == c &&
           page[by_va[a]].state == OWN && a != context[c].psp ->
           channel = c; ring = by_va[a]
        :: else
        fi }
}

#define any_condemned (context[0].condemned || context[1].condemned)

/* tdma_run() */
proctype controller()
{
    byte c, f, a, i, n;
    bit good;

again:
    do
    :: any_condemned -> bury_condemned()
    :: !any_condemned -> create()
    :: !any_condemned -> alloc()
    :: !any_condemned -> destroy()
    :: !any_condemned && CHANNELS -> open_channel()
    :: !any_condemned && channel != NONE ->
       atomic { channel = NONE; ring = NONE }       /* tdma_do_close() */
    od;
done:
    atomic { c = 0; f = 0; a = 0; i = 0; n = 0; good = 0; aborted = 0;
        goto again }
}

/* key_event(): in the main loop, whatever the controller is at */
proctype keys()
{
    do
    :: atomic { ring != NONE ->
        ASSERT(CHANNEL, page[ring].owner == channel && page[ring].prot) }
    od
}

/* tdma_kill_all(): every vCPU is paused; free_now() zeroes what is not LOCKED */
proctype reset()
{
    byte c, f, i;

    do
    :: atomic { all_stand && !stopped ->
        aborted = 1;
        f = 0;
        do
        :: f < RAM ->
           if
           :: page[f].state > LOCKED -> page[f].holds = ZERO
           :: else
           fi;
           ASSERT(ZERO, !is_secret(f)); f++
        :: else -> break
        od;
        c = 0;
        do
        :: c < CTXS ->
           close_channels(c); context[c].condemned = 0;
           if :: cpu[0].ctx == c -> step_out(0, c) :: else fi;
           if :: cpu[1].ctx == c -> step_out(1, c) :: else fi;
           context_free(c); c++
        :: else -> break
        od;
        c = 0; f = 0 }
    od
}

init
{
    byte i;

    atomic {
        for (i : 0 .. RAM - 1) { page[i].owner = NONE }
        for (i : 0 .. VAS - 1) {
            by_va[i] = NONE; cpu[0].slb[i] = NONE; cpu[1].slb[i] = NONE
        }
        for (i : 0 .. 1) { cpu[i].ctx = NONE; cpu[i].id = NONE }
        for (i : 0 .. 1) { context[i].cpu = NONE }
        i = 0;
        run vcpu(0); run controller();
        if :: CPUS > 1 -> run vcpu(1) :: else fi;
        if :: DEVICE -> run device() :: else fi;
        if :: CHANNELS -> run keys() :: else fi;
        if :: RESETS -> run reset() :: else fi
    }
}
