#include "pool/connector.h"

#include "pool/connector_thread.h"
#include "pool/resolver.h"
#include "proxy/base/log.h"
#include "proxy/base/tls.h"

#include <errno.h>
#include <libpq-fe.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
