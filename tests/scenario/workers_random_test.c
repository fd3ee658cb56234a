/* workers_random_test.c -- many clients of several workers at random: what must hold whenever nothing is under
 * way. */
#include "tests/scenario/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PLAYERS = 12, STEPS = 1500 };

struct player {
	struct client *c;
	bool waits, in_xact;
	char asked[32];
};

static void
look_at(struct player *p)
{
	const char *row = client_answer(p->c);

	if (row == NULL)
		return;
	assert_true(p->waits);
	p->waits = false;
	if (strcmp(p->asked, "begin") == 0 || strcmp(p->asked, "commit") == 0)
		p->in_xact = p->asked[0] == 'b';
	else
		assert_string_equal(row, p->asked);
}

static void
play(struct player *p, int i, int step)
{
	if (p->waits)
		return;
	switch (rand() % 3) {
	case 0:
		snprintf(p->asked, sizeof(p->asked), p->in_xact ? "commit" : "begin");
		break;
	default:
		snprintf(p->asked, sizeof(p->asked), "select %d, %d", i, step);
		break;
	}
	p->waits = true;
	client_query(p->c, p->asked);
}

static bool
anybody_waits(const struct player *players)
{
	for (int i = 0; i < PLAYERS; i++)
		if (players[i].waits)
			return true;
	return false;
}

/* goal: whatever twelve clients of three workers do, counts agree, no server is idle while one waits, everybody
 * reads the answers to its own questions, and everybody is answered in the end */
static void
test_at_random(void **state)
{
	struct player players[PLAYERS] = { 0 };

	(void)state;
	srand(11);
	stage_begin_workers(3, "", "pool_size=4");
	for (int i = 0; i < PLAYERS; i++)
		players[i].c = client_in_at(i % 3);
	for (int step = 0; step < STEPS; step++) {
		int i = rand() % PLAYERS;

		if (rand() % 4 == 0)
			servers_answer();
		else
			play(&players[i], i, step);
		if (rand() % 8 == 0)
			stage_clock((uint64_t)rand() % 40);
		for (int k = 0; k < PLAYERS; k++)
			look_at(&players[k]);
		stage_check();
		assert_in_range(stage_servers(), 0, 4);
	}
	for (int round = 0; round < 1000 && anybody_waits(players); round++) {
		servers_answer();
		for (int k = 0; k < PLAYERS; k++) {
			look_at(&players[k]);
			if (!players[k].waits && players[k].in_xact) {
				snprintf(players[k].asked, sizeof(players[k].asked), "commit");
				players[k].waits = true;
				client_query(players[k].c, "commit");
			}
		}
	}
	assert_false(anybody_waits(players));
	stage_check();
	stage_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
