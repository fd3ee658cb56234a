/* aws_xml.h -- the few texts that are wanted from the XML of AWS's security token service. No
 * namespaces, no CDATA, no DTD: a scan for a tag. Pure. */
#ifndef AUTH_SOURCE_AWS_XML_H
#define AUTH_SOURCE_AWS_XML_H

#include <stddef.h>

/* The text of the first element of that name that has no elements inside, entities decoded, into
 * out[size] with a NUL. Its length; -1 when there is none, it does not fit, or it has a NUL or an
 * unknown entity ("" is then in out). */
long aws_xml_text(const char *xml, size_t len, const char *tag, char *out, size_t size);

#endif
