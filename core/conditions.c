/* conditions.c - asking the conditions of subscriptions about messages. What is made of a message
 * to answer (its payload as JSON above all) is kept for the next question about the same one, and
 * has one budget for all of them: a message costs what it costs, however many subscriptions ask. */
#include "base/base.h"
#include "core/session.h"

#include "base/log.h"

void conditions_forget(struct home *h)
{
	if (!h->asked)
		return;
	expr_facts_end(&h->facts);
	msg_put(&h->asked);
}

static struct expr_facts *facts_of(struct home *h, struct msg *m)
{
	if (h->asked == m)
		return &h->facts;
	conditions_forget(h);
	h->asked = msg_get(m);
	h->facts = (struct expr_facts){ .topic = m->customer ? msg_name(m) : m->m.topic,
		                        .props = m->m.props,
		                        .payload = m->m.payload,
		                        .cid = m->customer,
		                        .timestamp_ms = m->timestamp_ms,
		                        .payload_most = (size_t)h->config->condition_payload,
		                        .steps = (uint32_t)h->config->condition_steps };
	return &h->facts;
}

bool conditions_left(const struct home *h, const struct msg *m, uint32_t *steps)
{
	if (h->asked != m)
		return false;
	*steps = h->facts.exhausted ? 0 : h->facts.steps;
	return true;
}

void conditions_go_on(struct home *h, struct msg *m, uint32_t steps)
{
	struct expr_facts *f = facts_of(h, m);

	f->steps = steps;
	f->exhausted = steps == 0; /* as conditions_left() said: it was counted and logged then */
}

bool condition_passes(const struct subscription *sub, struct msg *m, bool *unsure)
{
	struct home *h = session_home(sub->session);
	struct expr_facts *f = facts_of(h, m);
	uint32_t steps = f->steps;
	bool before = f->exhausted, holds = condition_holds(sub->condition, f);

	work_spend(h, 1 + steps - f->steps); /* a step is as much as a unit of work */
	*unsure = f->exhausted;
	if (holds)
		return true;
	h->counters.filtered++;
	if (f->exhausted && !before) {
		h->counters.conditions_exhausted++;
		LOG_WARN(home_name(h), "conditions-exhausted", "cid=%" PRIu64 " client=%s",
		         m->customer, log_esc(session_id(sub->session)));
	}
	return false;
}
