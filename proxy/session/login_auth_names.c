#include "proxy/session/login_auth_names.h"

#include "auth/inet_range.h"
#include "auth/interfaces.h"
#include "auth/login_method.h"
#include "auth/peer.h"

#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SLOTS	    256
#define NETWORKS_MS 10000

struct login_auth_names {
	struct slot {
		char key[INET_ADDR_TEXT + 8];
		char name[LOGIN_WHY_MAX];
		uint64_t until_ms;
	} * slots[SLOTS];
	struct interfaces *networks;
	uint64_t networks_until_ms;
};

struct login_auth_names *
login_auth_names_new(void)
{
	return calloc(1, sizeof(struct login_auth_names));
}

void
login_auth_names_free(struct login_auth_names *names)
{
	if (names == NULL)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		free(names->slots[i]);
	interfaces_free(names->networks);
	free(names);
}

/* ---- what is known ---- */

/* Who fills a slot with an address of its choice only makes others be looked up again. */
static size_t
slot_of(const char *key)
{
	uint32_t h = 2166136261u;

	for (; *key != '\0'; key++)
		h = (h ^ (uint8_t)*key) * 16777619u;
	return (h ^ h >> 16) % SLOTS;
}

const char *
login_auth_names_find(const struct login_auth_names *names, const char *key, uint64_t now_ms)
{
	const struct slot *slot = names->slots[slot_of(key)];

	if (slot == NULL || now_ms >= slot->until_ms || strcmp(slot->key, key) != 0)
		return NULL;
	return slot->name;
}

void
login_auth_names_keep(struct login_auth_names *names, const char *key, const char *name,
    uint64_t now_ms)
{
	struct slot **at = &names->slots[slot_of(key)];

	if (*at == NULL)
		*at = malloc(sizeof(**at));
	if (*at == NULL)
		return;
	snprintf((*at)->key, sizeof((*at)->key), "%s", key);
	snprintf((*at)->name, sizeof((*at)->name), "%s", name);
	(*at)->until_ms = now_ms + LOGIN_AUTH_NAME_MS;
}

const struct interfaces *
login_auth_names_networks(struct login_auth_names *names, uint64_t now_ms)
{
	struct interfaces *fresh;

	if (names->networks != NULL && now_ms < names->networks_until_ms)
		return names->networks;
	fresh = interfaces_new();
	if (fresh == NULL)
		return names->networks;
	interfaces_free(names->networks);
	names->networks = fresh;
	names->networks_until_ms = now_ms + NETWORKS_MS;
	return fresh;
}

/* ---- in helper threads ---- */

static bool
is_address(const struct addrinfo *list, const struct inet_addr *wanted)
{
	for (; list != NULL; list = list->ai_next) {
		struct inet_addr one = inet_addr_of(list->ai_addr);

		if (one.len == wanted->len && memcmp(one.byte, wanted->byte, one.len) == 0)
			return true;
	}
	return false;
}

static enum login_result
failure(int error)
{
	return error == EAI_NONAME
#ifdef EAI_NODATA
		       || error == EAI_NODATA
#endif
		   ? LOGIN_REFUSED
		   : LOGIN_UNAVAILABLE;
}

/* Anybody can give his address any name; but only who has the name can make it lead back. */
static enum login_result
find_host(const void *settings, const struct login_attempt *a, char *why, size_t whylen)
{
	struct addrinfo numeric = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
	struct addrinfo byname = { .ai_socktype = SOCK_STREAM }, *peer, *list;
	struct inet_addr wanted;
	char host[NI_MAXHOST];
	int error;

	(void)settings;
	error = getaddrinfo(a->peer, NULL, &numeric, &peer);
	if (error != 0)
		return LOGIN_REFUSED;
	wanted = inet_addr_of(peer->ai_addr);
	error = getnameinfo(peer->ai_addr, peer->ai_addrlen, host, sizeof(host), NULL, 0,
	    NI_NAMEREQD);
	freeaddrinfo(peer);
	if (error != 0)
		return failure(error);
	if (strlen(host) >= whylen)
		return LOGIN_REFUSED;
	error = getaddrinfo(host, NULL, &byname, &list);
	if (error != 0)
		return failure(error);
	snprintf(why, whylen, "%s", host);
	error = is_address(list, &wanted) ? 0 : 1;
	freeaddrinfo(list);
	return error == 0 ? LOGIN_OK : LOGIN_REFUSED;
}

static enum login_result
find_uid(const void *settings, const struct login_attempt *a, char *why, size_t whylen)
{
	uid_t uid = (uid_t)strtoul(a->user, NULL, 10);

	(void)settings;
	if (peer_name(uid, why, whylen) == 0)
		return LOGIN_OK;
	return errno == ENOENT || errno == ERANGE ? LOGIN_REFUSED : LOGIN_UNAVAILABLE;
}

static void *
ref(void *settings)
{
	return settings;
}

static void
unref(void *settings)
{
	(void)settings;
}

const struct login_method login_auth_names_host = { "host name", find_host, ref, unref };
const struct login_method login_auth_names_uid = { "user name", find_uid, ref, unref };
