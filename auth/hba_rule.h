/* hba_rule.h -- how hba_parse.c hands the rules of a file to hba_match.c: for the files hba*.c only.
 * All texts live in the arena of the snapshot, regular expressions in its list. */
#ifndef AUTH_HBA_RULE_H
#define AUTH_HBA_RULE_H

#include "auth/hba.h"
#include "auth/inet_range.h"

#include <stdatomic.h>
#include <stdint.h>

struct config_arena;
struct config_report;
struct hba_record;
struct name_regex;

enum hba_conn { /* bits: the kinds of connection that a line stands for */
	HBA_CONN_LOCAL = 1,
	HBA_CONN_PLAIN = 2,
	HBA_CONN_TLS = 4
};

enum hba_name_kind {
	HBA_NAME,
	HBA_NAME_ALL,
	HBA_NAME_SAMEUSER,
	HBA_NAME_SAMEROLE,
	HBA_NAME_REPLICATION,
	HBA_NAME_ROLE, /* members of the role `text` */
	HBA_NAME_REGEX
};

struct hba_name {
	enum hba_name_kind kind;
	const char *text;
	const struct name_regex *regex;
};

struct hba_names {
	const struct hba_name *item;
	size_t n;
};

enum hba_address_kind {
	HBA_ADDRESS_ALL, /* local lines too */
	HBA_ADDRESS_RANGE,
	HBA_ADDRESS_SAMEHOST,
	HBA_ADDRESS_SAMENET,
	HBA_ADDRESS_DNS
};

struct hba_rule {
	struct hba_line line;
	uint8_t conns; /* of enum hba_conn */
	enum hba_address_kind address;
	struct inet_range range;
	const char *dns; /* a host name, or a suffix with its dot */
	struct hba_names databases, users;
};

struct hba {
	atomic_uint refs;
	struct config_arena *arena;
	struct name_regex *regexes;
	struct hba_rule *rules;
	size_t n, room;
};

/* Reads the method and the options, from field i of the record on, into the rule; faults go to the
 * report (hba_option.c). */
void hba_option_read(struct hba_rule *, const struct hba_record *, size_t i, struct config_arena *,
    struct config_report *);

#endif
