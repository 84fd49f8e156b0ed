/*
 * certificate: a certificate of TLS that signs itself, and its key, for tests.
 */
#ifndef TESTS_UNIT_SUPPORT_CERTIFICATE_H
#define TESTS_UNIT_SUPPORT_CERTIFICATE_H

/**
 * Write both files, of P-256. Fails the test when it can't be done.
 *
 * name          the subject's common name
 * from_s        from when on it is good, in seconds from now; until_s: how long
 * passphrase    of the key; NULL = none
 */
void certificate_write(const char *certificate_path, const char *key_path, const char *name, long from_s,
                       long until_s, const char *passphrase);

#endif
