/* stage_inside.h -- what the files of the stage share; not for tests. */
#ifndef TESTS_STAGE_INSIDE_H
#define TESTS_STAGE_INSIDE_H

#include "pool/pool.h"
#include "proxy/base/worker.h"
#include "proxy/session/session_set.h"
#include "tests/scenario/end.h"
#include "tests/scenario/stage.h"

enum { STAGE_CLIENTS = 128 };

struct client {
	struct end end;
	uint32_t pid;
	uint8_t key[4];
};

struct stage {
	struct worker workers[STAGE_WORKERS];
	struct pool_worker pools[STAGE_WORKERS];
	struct session_totals totals;
	struct session_env *env;
	char database[32], other[32];
	struct client clients[STAGE_CLIENTS];
	int n_workers, n_clients, runs, cancel_fd;
};

extern struct stage stage;

#endif
