#include "tests/unit/proxy/config/config_fixture.h"

#include "proxy/config/config_load.h"
#include "proxy/config/config_option.h"

/* All keys of PgBouncer, main of July 2026. */
static const char *const pgbouncer_keys[] = {
	"admin_users",
	"application_name_add_host",
	"auth_dbname",
	"auth_file",
	"auth_hba_file",
	"auth_ident_file",
	"auth_ldap_options",
	"auth_query",
	"auth_type",
	"auth_user",
	"autodb_idle_timeout",
	"cancel_wait_timeout",
	"client_idle_timeout",
	"client_login_timeout",
	"client_tls13_ciphers",
	"client_tls_ca_file",
	"client_tls_cert_file",
	"client_tls_ciphers",
	"client_tls_dheparams",
	"client_tls_ecdhcurve",
	"client_tls_key_file",
	"client_tls_protocols",
	"client_tls_sslmode",
	"conffile",
	"default_pool_size",
	"disable_pqexec",
	"dns_max_ttl",
	"dns_nxdomain_ttl",
	"dns_zone_check_period",
	"idle_transaction_timeout",
	"ignore_startup_parameters",
	"job_name",
	"listen_addr",
	"listen_backlog",
	"listen_port",
	"log_connections",
	"log_disconnections",
	"log_pooler_errors",
	"log_stats",
	"logfile",
	"login_notify_message",
	"max_client_conn",
	"max_db_client_connections",
	"max_db_connections",
	"max_packet_size",
	"max_prepared_statements",
	"max_user_client_connections",
	"max_user_connections",
	"min_pool_size",
	"peer_id",
	"pidfile",
	"pkt_buf",
	"pool_idle_timeout",
	"pool_mode",
	"query_timeout",
	"query_wait_notify",
	"query_wait_timeout",
	"reserve_pool_size",
	"reserve_pool_timeout",
	"resolv_conf",
	"sbuf_loopcnt",
	"scram_iterations",
	"server_check_delay",
	"server_check_query",
	"server_connect_timeout",
	"server_fast_close",
	"server_idle_timeout",
	"server_lifetime",
	"server_login_retry",
	"server_reset_query",
	"server_reset_query_always",
	"server_round_robin",
	"server_tls13_ciphers",
	"server_tls_ca_file",
	"server_tls_cert_file",
	"server_tls_ciphers",
	"server_tls_key_file",
	"server_tls_protocols",
	"server_tls_sslmode",
	"service_name",
	"so_reuseport",
	"stats_period",
	"stats_users",
	"suspend_timeout",
	"syslog",
	"syslog_facility",
	"syslog_ident",
	"tcp_defer_accept",
	"tcp_keepalive",
	"tcp_keepcnt",
	"tcp_keepidle",
	"tcp_keepintvl",
	"tcp_socket_buffer",
	"tcp_user_timeout",
	"track_extra_parameters",
	"transaction_timeout",
	"unix_socket_dir",
	"unix_socket_group",
	"unix_socket_mode",
	"user",
	"verbose",
};

/* Goal: a pgbouncer.ini meets no unknown key. */
static void
test_all_keys(void **state)
{
	size_t i, n = sizeof(pgbouncer_keys) / sizeof(pgbouncer_keys[0]);

	(void)state;
	assert_int_equal(n, 101);
	for (i = 0; i < n; i++) {
		if (config_option_find(pgbouncer_keys[i]) == NULL)
			print_error("%s\n", pgbouncer_keys[i]);
		assert_non_null(config_option_find(pgbouncer_keys[i]));
	}
	assert_non_null(config_option_find("workers"));
	assert_null(config_option_find("Workers"));
	assert_null(config_option_find(""));
	assert_string_equal(config_option_nearest("default_poolsize"), "default_pool_size");
}

/* Goal: every row is sound: default within bounds and written as it is shown, words for each enum,
 * sentences. */
static void
test_rows(void **state)
{
	struct config *cfg = config_blank();
	size_t i, n;

	(void)state;
	assert_non_null(cfg);
	for (i = 0; i < CONFIG_OPTIONS; i++) {
		const struct config_option *o = &config_options[i];
		char buf[CONFIG_FIELD_TEXT];

		assert_ptr_equal(config_option_find(o->field.key),
		    o); /* so no key is there twice */
		assert_string_equal(config_field_text(&o->field, cfg, buf), o->def);
		assert_true(config_option_is_default(o, cfg));
		assert_int_equal(o->why == NULL, o->service == CONFIG_SERVED);
		assert_int_equal(o->help[strlen(o->help) - 1], '.');
		assert_null(strchr(o->help, '\n'));
		if (o->field.type == OPT_ENUM) {
			for (n = 0; config_words(o->field.key)[n] != NULL; n++)
				;
			assert_int_equal(o->field.min, 0);
			assert_int_equal(o->field.max + 1, n);
		}
	}
	config_unref(cfg);
}

/* Goal: rows of a group stand together, as the sample file and the man page need it. */
static void
test_groups(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 1; i < CONFIG_OPTIONS; i++)
		for (j = 0; j + 1 < i; j++)
			if (strcmp(config_options[i].group, config_options[j].group) == 0)
				assert_string_equal(config_options[i - 1].group,
				    config_options[i].group);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_keys),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
