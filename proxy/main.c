/* main.c -- arguments and exit code. The only file that may call exit(). */
#include "proxy/app.h"
#include "proxy/base/log.h"
#include "proxy/config/config_doc.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
usage(FILE *f)
{
	fputs("usage: pgsluice [OPTION]... CONFIG.ini\n"
	      "\n"
	      "  -d, --daemon             run in the background (needs pidfile=)\n"
	      "  -q, --quiet              no log on stderr\n"
	      "  -v, --verbose            more log; twice for all of it\n"
	      "  -u, --user=USER          become this user; root needs it\n"
	      "  -V, --version            print the version and exit\n"
	      "  -h, --help               print this and exit\n"
	      "      --print-sample       print a sample configuration with all options\n"
	      "      --print-man-options  print the option section of pgsluice.ini(5)\n",
	    f);
}

enum { PRINT_SAMPLE = 256, PRINT_MAN };

static const struct option longs[] = {
	{ "daemon", no_argument, NULL, 'd' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "user", required_argument, NULL, 'u' },
	{ "reboot", no_argument, NULL, 'R' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ "print-sample", no_argument, NULL, PRINT_SAMPLE },
	{ "print-man-options", no_argument, NULL, PRINT_MAN },
	{ NULL, 0, NULL, 0 },
};

/* -1: go on and run. Else the exit code. */
static int
parse_arguments(struct app *a, int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "dqvu:RVh", longs, NULL)) != -1) {
		switch (c) {
		case 'd':
			a->daemon = true;
			break;
		case 'q':
			a->quiet = true;
			break;
		case 'v':
			a->verbose++;
			break;
		case 'u':
			a->user = optarg;
			break;
		case 'R':
			fputs(
			    "pgsluice: -R is not served by this version: start the new process with the "
			    "same ports (so_reuseport = 1 in both, another unix_socket_dir), then send the old one SIGTERM\n",
			    stderr);
			return 1;
		case 'V':
			puts("pgsluice " PGSLUICE_VERSION);
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		case PRINT_SAMPLE:
			config_doc_sample(stdout);
			return 0;
		case PRINT_MAN:
			config_doc_man(stdout);
			return 0;
		default:
			usage(stderr);
			return 1;
		}
	}
	if (optind + 1 != argc) {
		usage(stderr);
		return 1;
	}
	a->path = argv[optind];
	return -1;
}

int
main(int argc, char **argv)
{
	static struct app app;
	int code = parse_arguments(&app, argc, argv);

	if (code != -1)
		return code;
	if (app_start(&app) == -1)
		exit(1);
	app_run(&app);
	app_stop(&app);
	return app.exit_code;
}
