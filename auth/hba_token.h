/* hba_token.h -- the lexer of PostgreSQL's authentication files (pg_hba.conf, pg_ident.conf): turns a
 * file and what it includes into records of fields of tokens.
 * A record is a line; a line that ends in a backslash goes on in the next one, even inside a comment
 * or quotes. Blanks part fields, commas part the tokens of one field (blanks may follow a comma). #
 * begins a comment. Double quotes keep blanks, commas and #; "" inside them is one quote.
 * @NAME (not quoted) stands for all tokens of the file NAME. The records `include FILE`,
 * `include_if_exists FILE` and `include_dir DIRECTORY` (its *.conf, in the order of their bytes) stand
 * for the records of those. Relative names count from the folder of the file that has them. Files may
 * be nested HBA_TOKEN_DEPTH deep, HBA_TOKEN_FILES in all, none inside itself.
 * Stricter than PostgreSQL: an open quote and a NUL byte are faults.
 * Must not know what the fields mean. */
#ifndef AUTH_HBA_TOKEN_H
#define AUTH_HBA_TOKEN_H

#include "proxy/config/config_report.h"

#include <stdbool.h>
#include <stddef.h>

struct config_arena;

#define HBA_TOKEN_DEPTH 10
#define HBA_TOKEN_FILES 1000

struct hba_token {
	const char *text;
	bool quoted; /* began with a quote: neither a keyword nor a @ or + */
};

struct hba_field { /* one token at least, but an @file may hold none */
	const struct hba_token *tokens;
	size_t n;
};

struct hba_record {
	struct config_place at;
	const struct hba_field *fields; /* one at least */
	size_t n;
};

typedef void hba_token_record(void *arg, const struct hba_record *);

/* Reads the file at `path` and gives each record to `record`, whose fields, tokens, texts and file
 * name live in the arena; the record itself does not outlive the call. Faults go to the report, with
 * their place, and reading goes on behind them; a record with a fault is not given. */
void hba_token_read(const char *path, struct config_arena *, struct config_report *,
    hba_token_record *record, void *arg);

/* Is it this word, not quoted? */
bool hba_token_is(const struct hba_token *, const char *word);

#endif
