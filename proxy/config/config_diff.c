#include <stdio.h>
#include <string.h>

#include "proxy/config/config_entry.h"
#include "proxy/config/config_option.h"

typedef void change_function(void *arg, const char *key, const char *from, const char *to,
    bool applies_live);

struct diff {
	change_function *change;
	void *arg;
};

#define KEY_BYTES 320 /* "databases." + name + "." + key */

static void
diff_options(const struct diff *diff, const struct config *old, const struct config *new_)
{
	char from[CONFIG_FIELD_TEXT], to[CONFIG_FIELD_TEXT];
	size_t i;

	for (i = 0; i < CONFIG_OPTIONS; i++) {
		const struct config_option *o = &config_options[i];

		if (!config_field_equal(&o->field, old, new_))
			diff->change(diff->arg, o->field.key,
			    o->field.secret ? "***" : config_field_text(&o->field, old, from),
			    o->field.secret ? "***" : config_field_text(&o->field, new_, to),
			    o->reload);
	}
}

static void
diff_record(const struct diff *diff, const struct config_entry_kind *kind, const void *old,
    const void *new_)
{
	char from[CONFIG_FIELD_TEXT], to[CONFIG_FIELD_TEXT], name[CONFIG_FIELD_TEXT],
	    key[KEY_BYTES];
	size_t i;

	for (i = 0; i < kind->n_fields; i++) {
		const struct config_field *f = &kind->fields[i];

		if (config_field_equal(f, old, new_))
			continue;
		snprintf(key, sizeof(key), "%s.%s.%s", kind->section,
		    config_entry_name(kind, new_, name), f->key);
		diff->change(diff->arg, key, f->secret ? "***" : config_field_text(f, old, from),
		    f->secret ? "***" : config_field_text(f, new_, to), true);
	}
}

static void
diff_presence(const struct diff *diff, const struct config_entry_kind *kind, const void *record,
    bool came)
{
	char name[CONFIG_FIELD_TEXT], key[KEY_BYTES];

	snprintf(key, sizeof(key), "%s.%s", kind->section, config_entry_name(kind, record, name));
	diff->change(diff->arg, key, came ? "absent" : "present", came ? "present" : "absent",
	    true);
}

/* Both lists are sorted, so one walk over both finds what came, went and changed. */
static void
diff_entries(const struct diff *diff, const struct config_entry_kind *kind, const void *old,
    size_t n_old, const void *new_, size_t n_new)
{
	const unsigned char *left = old, *right = new_;

	while (n_old > 0 || n_new > 0) {
		int order = n_old == 0	 ? 1
			    : n_new == 0 ? -1
					 : config_entry_compare(kind, left, right);

		if (order == 0)
			diff_record(diff, kind, left, right);
		else
			diff_presence(diff, kind, order < 0 ? left : right, order > 0);
		if (order <= 0) {
			left += kind->size;
			n_old--;
		}
		if (order >= 0) {
			right += kind->size;
			n_new--;
		}
	}
}

void
config_diff(const struct config *old, const struct config *new_, change_function *change, void *arg)
{
	const struct diff diff = { change, arg };

	diff_options(&diff, old, new_);
	diff_entries(&diff, &config_entry_databases, old->databases, old->n_databases,
	    new_->databases, new_->n_databases);
	diff_entries(&diff, &config_entry_users, old->users, old->n_users, new_->users,
	    new_->n_users);
	diff_entries(&diff, &config_entry_peers, old->peers, old->n_peers, new_->peers,
	    new_->n_peers);
	diff_entries(&diff, &config_entry_secrets, old->secrets, old->n_secrets, new_->secrets,
	    new_->n_secrets);
}
