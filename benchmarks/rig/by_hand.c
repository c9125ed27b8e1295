/* The ledger of one shift, written by hand: what a C programmer would write for this machine and nothing else.
 *
 * The reference of the benchmark `ledger_batch`. Same work on the same samples: three counters bounded by the rate that
 * is physically possible (wrap, hold and confirm, glitch, reset), the gaps between counts by three thresholds, time and
 * pieces into minute cells under a calendar, silence, steps of the clock, stop events; impossible samples are refused
 * before anything is booked. It has one product, and no repair, restart or recovered pieces; the kernel has. Both must
 * give the same cells and stops, or nothing is measured.
 */
#include <stdint.h>
#include <string.h>

#define MINUTE 60000000000LL
#define STEP_LIMIT 500000000LL
enum { RUN = 0, PLANNED_STOP = 8, MAINTENANCE = 9, MANUAL = 10, UNASSIGNED = 11, UNKNOWN = 12, NOT_SCHEDULED = 13, BUCKETS = 14 };
enum { SCHEDULED = 0, BREAK = 1 };
enum { FLAG_RESET = 0x4, FLAG_ROLLOVER = 0x8, FLAG_AMBIGUOUS = 0x10, FLAG_STEP = 0x80, FLAG_CONFLICT = 0x100, FLAG_GLITCH = 0x800 };

typedef struct {
    int64_t minute_ns, shift_id, product, bucket[BUCKETS];
    int64_t ppt_ns, rt_ns, nrt_ns, fpt_ns, tc, gc, sc;
    int64_t unscheduled_tc, unscheduled_gc, unscheduled_sc, unscheduled_run_ns, unscheduled_fpt_ns;
    int64_t slow_ns, small_ns, conflict_ns, resets, rollovers, glitches, lost_max, flags;
} cell_t;

typedef struct { int64_t start_ns, end_ns, bucket, fault_code; } stop_t;
typedef struct { int64_t t_ns, elapsed_ns, bucket, fault, product, mask, count[3]; } sample_t;
typedef struct { int64_t start_ns, end_ns, kind, shift; } slice_t;
typedef struct { int64_t modulus; double rate_per_s; int64_t ideal_ns, t1_ns, t2_ns, t3_ns, hold_ns; } rule_t;
typedef struct { int64_t value, at_ns, held_value, held_at_ns, held_cap; int held; } counter_t;

typedef struct {
    rule_t rule;
    const slice_t *slice;
    counter_t counter[3];
    int64_t t_ns, clock_ns, booked_ns, anchor_ns, anchor_rt_ns, rt_ns, bucket, fault;
    int64_t open_bucket, open_since_ns, open_fault, cell_end_ns;
    int anchored_by_count;
    cell_t *cell;              /* the open one, the last so far */
    stop_t *stops;
    int64_t n_stops;
} ledger_t;

static int64_t cap(const rule_t *rule, int64_t dt_ns) {
    double counts = rule->rate_per_s * ((double)dt_ns * 1e-9);
    int64_t whole = (int64_t)counts;
    return whole + ((double)whole < counts) + 2;
}

static int64_t ahead(int64_t from, int64_t to, int64_t modulus) { return to >= from ? to - from : to - from + modulus; }

static int64_t counted(ledger_t *m, counter_t *c, int64_t value) {
    const rule_t *rule = &m->rule;
    int64_t t = m->clock_ns, credit = ahead(c->value, value, rule->modulus);
    if (value < 0 || value >= rule->modulus || t <= c->at_ns) return 0;
    if (!c->held) {
        if (credit > cap(rule, t - c->at_ns)) {
            c->held = 1, c->held_value = value, c->held_at_ns = t, c->held_cap = cap(rule, t - c->at_ns);
            return 0;
        }
        if (value < c->value) m->cell->rollovers++, m->cell->flags |= FLAG_ROLLOVER;
    } else {
        int64_t on = ahead(c->held_value, value, rule->modulus);
        int back = credit <= cap(rule, t - c->at_ns), goes_on = on <= cap(rule, t - c->held_at_ns);
        int from_zero = goes_on && c->held_value <= c->held_cap;
        if (back && from_zero) {
            if (c->held_value + on < credit) credit = c->held_value + on;
            m->cell->flags |= FLAG_AMBIGUOUS;
        } else if (back) {
            m->cell->glitches++, m->cell->flags |= FLAG_GLITCH;
        } else if (from_zero) {
            credit = c->held_value + on;
            m->cell->resets++, m->cell->lost_max += c->held_cap - c->held_value, m->cell->flags |= FLAG_RESET;
        } else if (goes_on) {
            credit = on;
            m->cell->resets++, m->cell->flags |= FLAG_RESET | FLAG_AMBIGUOUS;
        } else {
            c->held_value = value, c->held_at_ns = t, c->held_cap = cap(rule, t - c->at_ns);
            return 0;
        }
        c->held = 0;
    }
    c->value = value, c->at_ns = t;
    return credit;
}

static void enter_cell(ledger_t *m, int64_t t_ns) {
    int64_t minute_ns = t_ns - t_ns % MINUTE;
    while (t_ns >= m->slice->end_ns) m->slice++;
    m->cell++;
    memset(m->cell, 0, sizeof *m->cell);
    m->cell->minute_ns = minute_ns, m->cell->shift_id = m->slice->shift;
    m->cell_end_ns = minute_ns + MINUTE < m->slice->end_ns ? minute_ns + MINUTE : m->slice->end_ns;
}

static void book(ledger_t *m, int64_t until_ns, int64_t bucket, int proven) {
    while (m->booked_ns < until_ns) {
        if (m->booked_ns >= m->cell_end_ns) enter_cell(m, m->booked_ns);
        int64_t edge_ns = m->cell_end_ns < until_ns ? m->cell_end_ns : until_ns, ns = edge_ns - m->booked_ns;
        int64_t kind = m->slice->kind, booked = bucket;
        if (kind != SCHEDULED && !(proven && bucket == RUN)) booked = kind == BREAK ? PLANNED_STOP : NOT_SCHEDULED;
        if (booked != m->open_bucket) {
            if (m->open_bucket > RUN)
                m->stops[m->n_stops++] = (stop_t){m->open_since_ns, m->booked_ns, m->open_bucket, m->open_fault};
            m->open_bucket = booked, m->open_since_ns = m->booked_ns;
            m->open_fault = booked == m->bucket || booked == UNASSIGNED ? m->fault : 0;
        }
        m->cell->bucket[booked] += ns;
        if (kind == SCHEDULED || (kind == BREAK && booked != PLANNED_STOP)) {
            m->cell->ppt_ns += ns;
            if (booked == RUN) m->cell->rt_ns += ns, m->rt_ns += ns;
        } else if (booked == RUN) {
            m->cell->unscheduled_run_ns += ns;
        }
        m->booked_ns = edge_ns;
    }
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static void anchor(ledger_t *m, int64_t t_ns, int by_count) {
    m->anchor_ns = t_ns, m->anchor_rt_ns = m->rt_ns, m->anchored_by_count = by_count;
}

/* In this machine a gap while RUN always begins with a cycle: of the piece before it, or of the start. */
static void book_gap(ledger_t *m, int64_t until_ns, int stood) {
    book(m, least(m->anchor_ns + m->rule.ideal_ns, until_ns), RUN, 0);
    book(m, until_ns, stood ? UNASSIGNED : RUN, 0);
}

static void close_gap(ledger_t *m, int64_t until_ns) {
    int64_t gap_ns = until_ns - m->anchor_ns, lost_ns;
    book_gap(m, until_ns, gap_ns > m->rule.t3_ns);
    lost_ns = m->rt_ns - m->anchor_rt_ns - m->rule.ideal_ns;
    if (lost_ns > 0 && gap_ns > m->rule.t2_ns) m->cell->small_ns += lost_ns;
    anchor(m, until_ns, 0);
}

/* Where working time ends or begins again after `t_ns`, up to `until_ns`. */
static int64_t schedule_edge(const ledger_t *m, int64_t t_ns, int64_t until_ns) {
    const slice_t *slice = m->slice;
    while (t_ns >= slice->end_ns) slice++;
    for (int on = slice->kind == SCHEDULED; (slice->kind == SCHEDULED) == on; slice++)
        if (slice->end_ns >= until_ns) return until_ns;
    return slice->start_ns;
}

static void cut(ledger_t *m, int64_t until_ns) {
    if (until_ns - m->anchor_ns <= m->rule.t2_ns) return;
    for (int64_t edge_ns; (edge_ns = schedule_edge(m, m->anchor_ns, until_ns)) < until_ns;) close_gap(m, edge_ns);
}

static void settle(ledger_t *m, int64_t until_ns) {
    if (m->bucket != RUN) {
        book(m, until_ns, m->bucket, 0);
        return;
    }
    cut(m, until_ns);
    book_gap(m, until_ns, until_ns - m->anchor_ns > m->rule.t3_ns);
}

static void end_gap(ledger_t *m, int64_t t_ns) {
    if (m->bucket == RUN) {
        cut(m, t_ns);
        close_gap(m, t_ns);
    } else {
        book(m, t_ns, m->bucket, 0);
        anchor(m, t_ns, 0);
    }
}

static void wait_on(ledger_t *m, int64_t t_ns) {
    if (m->bucket == MAINTENANCE || m->bucket == MANUAL) {
        book(m, t_ns, m->bucket, 0);
    } else if (m->bucket != RUN) {
        if (t_ns - m->anchor_ns > m->rule.t2_ns) book(m, t_ns, m->bucket, 0);
    } else {
        cut(m, t_ns);
        if (t_ns - m->anchor_ns > m->rule.t3_ns) book_gap(m, t_ns - m->rule.ideal_ns, 1);
    }
}

static int64_t idle(const ledger_t *m, int64_t t_ns, int64_t pieces) {
    return t_ns - m->anchor_ns - least((pieces - 1) * m->rule.ideal_ns, t_ns - m->t_ns);
}

static void count_while_running(ledger_t *m, int64_t t_ns, int64_t pieces) {
    const rule_t *rule = &m->rule;
    int64_t idle_ns = idle(m, t_ns, pieces), lost_ns;
    if (idle_ns > rule->t2_ns) {
        cut(m, t_ns);
        idle_ns = idle(m, t_ns, pieces);
    }
    if (idle_ns > rule->t2_ns) {
        const slice_t *slice = m->slice;
        while (m->anchor_ns >= slice->end_ns) slice++;
        int64_t cycles_ns = (slice->kind == SCHEDULED ? pieces - 1 : pieces) * rule->ideal_ns;
        book_gap(m, t_ns - least(cycles_ns, t_ns - m->t_ns + rule->ideal_ns), idle_ns > rule->t3_ns);
    }
    book(m, t_ns, RUN, 1);
    lost_ns = m->rt_ns - m->anchor_rt_ns - pieces * rule->ideal_ns;
    if (lost_ns > 0 && idle_ns > rule->t2_ns) m->cell->small_ns += lost_ns;
    else if (lost_ns > 0 && t_ns - m->anchor_ns > pieces * rule->t1_ns) m->cell->slow_ns += lost_ns;
}

static void count_while_stopped(ledger_t *m, int64_t t_ns, int64_t pieces, int64_t now) {
    const rule_t *rule = &m->rule;
    int64_t cycles_ns = pieces * rule->ideal_ns, run_ns = t_ns - m->booked_ns;
    if (m->bucket == MAINTENANCE || m->bucket == MANUAL) {
        book(m, t_ns, m->bucket, 0);
        return;
    }
    if (now == RUN || idle(m, t_ns, pieces) > rule->t2_ns) run_ns = least(least(cycles_ns, t_ns - m->t_ns), run_ns);
    book(m, t_ns - run_ns, m->bucket, 0);
    book(m, t_ns, RUN, 1);
    if (now != RUN && run_ns) m->cell->conflict_ns += run_ns, m->cell->flags |= FLAG_CONFLICT;
}

static void put_pieces(ledger_t *m, int64_t total, int64_t good, int64_t reject) {
    cell_t *cell = m->cell;
    int64_t ideal_ns = m->rule.ideal_ns;
    if (m->slice->kind > BREAK) {
        cell->unscheduled_tc += total, cell->unscheduled_gc += good, cell->unscheduled_sc += reject;
        cell->unscheduled_fpt_ns += ideal_ns * good;
    } else {
        cell->tc += total, cell->gc += good, cell->sc += reject;
        cell->nrt_ns += ideal_ns * total, cell->fpt_ns += ideal_ns * good;
    }
}

static void step(ledger_t *m, const sample_t *s) {
    int64_t t_ns = s->t_ns, wall_ns = t_ns - m->t_ns, total = 0, good = 0, reject = 0;
    int64_t elapsed_ns = s->elapsed_ns >= 0 ? s->elapsed_ns : wall_ns > 0 ? wall_ns : 0;
    m->clock_ns += elapsed_ns;
    if (wall_ns < 0) t_ns = m->t_ns;
    if (s->mask & 1) total = counted(m, &m->counter[0], s->count[0]);
    if (s->mask & 2) good = counted(m, &m->counter[1], s->count[1]);
    if (s->mask & 4) reject = counted(m, &m->counter[2], s->count[2]);
    if (wall_ns - elapsed_ns > STEP_LIMIT || elapsed_ns - wall_ns > STEP_LIMIT) m->cell->flags |= FLAG_STEP;
    if (t_ns - m->t_ns > m->rule.hold_ns) {
        settle(m, m->t_ns + m->rule.hold_ns);
        book(m, t_ns, UNKNOWN, 0);
        put_pieces(m, total, good, reject);
        anchor(m, t_ns, 0);
    } else if (total | good | reject) {
        if (total <= 0 && s->bucket == m->bucket) settle(m, t_ns);
        else if (total <= 0) end_gap(m, t_ns);
        else if (m->bucket == RUN) count_while_running(m, t_ns, total);
        else count_while_stopped(m, t_ns, total, s->bucket);
        put_pieces(m, total, good, reject);
        if (total > 0 || s->bucket != m->bucket) anchor(m, t_ns, total > 0);
    } else if (s->bucket != m->bucket) {
        end_gap(m, t_ns);
    } else {
        wait_on(m, t_ns);
    }
    if (s->bucket != m->bucket || !m->fault) m->fault = s->fault;
    if (!m->open_fault && m->open_bucket == s->bucket) m->open_fault = m->fault;
    m->bucket = s->bucket, m->t_ns = t_ns;
}

static int possible(const sample_t *s) {
    return s->bucket >= RUN && s->bucket < NOT_SCHEDULED && s->product == 0 && s->mask >= 0 && s->mask < 16 && s->t_ns > 0;
}

/* Fills `cells` (the last one is open) and `stops`; returns the number of cells, 0 where a sample is impossible. */
int64_t ledger_by_hand(const sample_t *samples, int64_t n, const slice_t *calendar, const rule_t *rule, cell_t *cells,
                       stop_t *stops, int64_t *n_stops) {
    ledger_t m = {.rule = *rule, .slice = calendar, .open_bucket = -1, .cell = cells - 1, .stops = stops};
    m.t_ns = m.booked_ns = m.anchor_ns = m.open_since_ns = samples[0].t_ns;
    m.bucket = samples[0].bucket, m.fault = samples[0].fault;
    for (int c = 0; c < 3; c++) m.counter[c].value = samples[0].count[c];
    enter_cell(&m, m.t_ns);
    for (int64_t i = 0; i < n; i++)
        if (!possible(&samples[i])) return 0;
    for (int64_t i = 1; i < n; i++) step(&m, &samples[i]);
    *n_stops = m.n_stops;
    return m.cell - cells + 1;
}
