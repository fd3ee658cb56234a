#include "auth/source/aws_clock.h"

#include "proxy/base/log.h"

#define NEWS_MS 60000 /* the services allow five minutes: less cannot have been the reason */

static int64_t offset_ms;

int64_t
aws_clock_ms(int64_t local_unix_ms)
{
	return local_unix_ms + offset_ms;
}

bool
aws_clock_learn(int64_t local_unix_ms, int64_t server_unix_s)
{
	int64_t fresh = server_unix_s * 1000 - local_unix_ms, change = fresh - offset_ms;

	if (server_unix_s <= 0 || (change > -NEWS_MS && change < NEWS_MS))
		return false;
	/* our own clock may have been set right since the last time */
	offset_ms = fresh > -NEWS_MS && fresh < NEWS_MS ? 0 : fresh;
	if (offset_ms != 0)
		log_warning(
		    "the clock of this machine is %lld s %s AWS's; requests are signed with theirs",
		    (long long)((offset_ms < 0 ? -offset_ms : offset_ms) / 1000),
		    offset_ms < 0 ? "ahead of" : "behind");
	return true;
}

void
aws_clock_forget(void)
{
	offset_ms = 0;
}
