#include "auth/source/aws_error.h"

#include "auth/https_call.h"
#include "auth/source/aws_xml.h"
#include "auth/source/source_text.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *code;
	enum aws_remedy remedy;
} codes[] = {
	{ "ResourceNotFoundException", AWS_REPAIR },
	{ "InvalidRequestException", AWS_REPAIR },
	{ "InvalidParameterException", AWS_REPAIR },
	{ "ValidationException", AWS_REPAIR },
	{ "DecryptionFailure", AWS_REPAIR },
	{ "AccessDeniedException", AWS_REPAIR },
	{ "AccessDenied", AWS_REPAIR },
	{ "RegionDisabledException", AWS_REPAIR },
	{ "IDPRejectedClaim", AWS_KEYS },
	{ "InvalidIdentityToken", AWS_KEYS },
	{ "IDPCommunicationError", AWS_WAIT },
	{ "InternalServiceError", AWS_WAIT },
	{ "InternalFailure", AWS_WAIT },
	{ "ServiceUnavailable", AWS_WAIT },
	{ "RequestTimeout", AWS_WAIT },
	{ "RequestTimeoutException", AWS_WAIT },
	{ "ThrottlingException", AWS_SLOWER },
	{ "Throttling", AWS_SLOWER },
	{ "ThrottledException", AWS_SLOWER },
	{ "RequestThrottled", AWS_SLOWER },
	{ "RequestThrottledException", AWS_SLOWER },
	{ "TooManyRequestsException", AWS_SLOWER },
	{ "RequestLimitExceeded", AWS_SLOWER },
	{ "SlowDown", AWS_SLOWER },
	{ "LimitExceededException", AWS_SLOWER },
	{ "BandwidthLimitExceeded", AWS_SLOWER },
	{ "ProvisionedThroughputExceededException", AWS_SLOWER },
	{ "TransactionInProgressException", AWS_SLOWER },
	{ "PriorRequestNotComplete", AWS_SLOWER },
	{ "EC2ThrottledException", AWS_SLOWER },
	{ "ExpiredTokenException", AWS_KEYS },
	{ "ExpiredToken", AWS_KEYS },
	{ "UnrecognizedClientException", AWS_KEYS },
	{ "InvalidClientTokenId", AWS_KEYS },
	{ "InvalidSignatureException", AWS_KEYS },
	{ "SignatureDoesNotMatch", AWS_KEYS },
	{ "IncompleteSignature", AWS_KEYS },
	{ "MissingAuthenticationToken", AWS_KEYS },
	{ "MissingAuthenticationTokenException", AWS_KEYS },
	{ "RequestExpired", AWS_CLOCK },
	{ "RequestTimeTooSkewed", AWS_CLOCK },
};

enum secret_error
aws_error_class(enum aws_remedy remedy)
{
	switch (remedy) {
	case AWS_SLOWER:
		return SECRET_THROTTLED;
	case AWS_KEYS:
	case AWS_CLOCK:
		return SECRET_DENIED;
	case AWS_REPAIR:
		return SECRET_GONE;
	case AWS_WAIT:
		break;
	}
	return SECRET_TRANSIENT;
}

/* "com.amazonaws.x#Code:http://..." to "Code". */
static void
trim_code(char *code)
{
	char *hash = strrchr(code, '#');

	if (hash != NULL)
		memmove(code, hash + 1, strlen(hash + 1) + 1);
	code[strcspn(code, ":")] = '\0';
	for (char *c = code; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~')
			*c = '?';
}

/* One line of ASCII: behind the first, a refused signature's message quotes the request, session token and
 * all. */
static void
trim_message(char *message)
{
	message[strcspn(message, "\r\n")] = '\0';
	for (char *c = message; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

/* source_json_text() gives nothing for what is too long, and such messages are long. */
static void
json_first_line(const struct source_json *doc, const char *name, char *out, size_t size)
{
	size_t at = SOURCE_JSON_AT(doc, name), n = 0;
	const struct json_token *t;
	const char *text;

	out[0] = '\0';
	if (!json_is(&doc->json, at, JSON_STRING))
		return;
	t = &doc->json.tok[at];
	text = doc->json.text + t->at;
	for (size_t i = 0; i < t->len && n + 1 < size; i++) {
		if (text[i] == '\\' && i + 1 < t->len) {
			i++;
			if (text[i] == 'n' || text[i] == 'r' || text[i] == 'u')
				break;
		}
		out[n++] = text[i];
	}
	out[n] = '\0';
}

static void
read_texts(const struct https_response *h, char *code, size_t code_size, char *said,
    size_t said_size)
{
	const char *type = https_header(h, "x-amzn-ErrorType");
	char long_code[256] = "", long_said[1024] = "";
	struct source_json doc;

	if (source_json_read(&doc, h->body, h->len) == 0) {
		source_json_text(&doc, 0, "__type", long_code, sizeof(long_code));
		if (long_code[0] == '\0')
			source_json_text(&doc, 0, "code", long_code, sizeof(long_code));
		json_first_line(&doc, "Message", long_said, sizeof(long_said));
		if (long_said[0] == '\0')
			json_first_line(&doc, "message", long_said, sizeof(long_said));
		source_json_release(&doc);
	} else if (h->len != 0 && h->body[0] == '<') {
		aws_xml_text(h->body, h->len, "Code", long_code, sizeof(long_code));
		aws_xml_text(h->body, h->len, "Message", long_said, sizeof(long_said));
	}
	if (long_code[0] == '\0' && type != NULL)
		snprintf(long_code, sizeof(long_code), "%s", type);
	trim_code(long_code);
	trim_message(long_said);
	snprintf(code, code_size, "%.*s", (int)code_size - 1, long_code);
	snprintf(said, said_size, "%.*s", (int)said_size - 1, long_said);
}

/* What has no code is not from the service but from something in between. */
static enum aws_remedy
remedy_of(int status, const char *code, const char *said)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (strcmp(codes[i].code, code) != 0)
			continue;
		if (strncmp(said, "Signature expired", 17) == 0 ||
		    strncmp(said, "Signature not yet current", 25) == 0)
			return AWS_CLOCK;
		return codes[i].remedy;
	}
	if (status == 429)
		return AWS_SLOWER;
	return status >= 500 || status < 400 || code[0] == '\0' ? AWS_WAIT : AWS_REPAIR;
}

void
aws_error_read(struct aws_error *e, const char *service, const struct https_response *h)
{
	char said[160];

	*e = (struct aws_error){ .remedy = AWS_WAIT };
	if (h->status == 0) {
		snprintf(e->message, sizeof(e->message), "%s: %.200s", service, h->error);
		return;
	}
	read_texts(h, e->code, sizeof(e->code), said, sizeof(said));
	e->remedy = remedy_of(h->status, e->code, said);
	if (h->status == 200 && e->code[0] == '\0')
		snprintf(e->message, sizeof(e->message), "%s: its answer cannot be read", service);
	else
		snprintf(e->message, sizeof(e->message), "%s answered %d%s%s%s%s", service,
		    h->status, e->code[0] == '\0' ? "" : " ", e->code, said[0] == '\0' ? "" : ": ",
		    said);
}
