#include "proxy/base/fault.h"

static const struct {
	const char *name, *sqlstate, *sentence;
} faults[FAULT_COUNT] = {
#define FAULT(code, sqlstate, sentence) [FAULT_##code] = { #code, sqlstate, sentence },
#include "proxy/base/fault.def"
#undef FAULT
};

const char *
fault_sqlstate(enum fault f)
{
	return faults[f].sqlstate;
}

const char *
fault_sentence(enum fault f)
{
	return faults[f].sentence;
}

const char *
fault_name(enum fault f)
{
	return faults[f].name;
}
