#!/usr/bin/python3
"""Writes jwt_vectors.h: tokens by python3-cryptography, good ones and attacks, for jwt_test.c.

The keys are those that RFC 7515 (A.2, A.3) and RFC 8037 (A.1) publish. Run it after a change:
tests/unit/auth/jwt_vectors.py >tests/unit/auth/jwt_vectors.h; make fmt
"""
import base64
import hashlib
import hmac
import json

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

RSA_N = (
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4"
    "d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5re"
    "xMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxX"
    "FvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
)
RSA_D = (
    "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXO"
    "oAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51"
    "gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3c"
    "cPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ"
)
EC_X = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
EC_Y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
EC_D = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
ED_X = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
ED_D = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

RFC_PAYLOAD = (
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl"
    "fQ"
)
RFC_A2 = (
    "eyJhbGciOiJSUzI1NiJ9." + RFC_PAYLOAD + "."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5"
    "jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb"
    "1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QO"
    "YEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)
RFC_A3 = (
    "eyJhbGciOiJFUzI1NiJ9." + RFC_PAYLOAD + "."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
RFC_8037 = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)

NOW = 1700000000  # what time it is in the test
ISSUER, AUDIENCE = "https://issuer.example", "pgsluice"


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(text):
    return int.from_bytes(unb64(text), "big")


def rsa_key():
    n, e, d = number(RSA_N), 65537, number(RSA_D)
    p, q = rsa.rsa_recover_prime_factors(n, e, d)
    return rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q),
        rsa.RSAPublicNumbers(e, n)).private_key()


RSA = rsa_key()
EC = ec.EllipticCurvePrivateNumbers(
    number(EC_D), ec.EllipticCurvePublicNumbers(number(EC_X), number(EC_Y), ec.SECP256R1())
).private_key()
ED = ed25519.Ed25519PrivateKey.from_private_bytes(unb64(ED_D))


def raw_ecdsa(der):
    r, s = utils.decode_dss_signature(der)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


SIGN = {
    "RS256": lambda m: RSA.sign(m, padding.PKCS1v15(), hashes.SHA256()),
    "PS256": lambda m: RSA.sign(m, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()),
    "RS1": lambda m: RSA.sign(m, padding.PKCS1v15(), hashes.SHA1()),
    "ES256": lambda m: raw_ecdsa(EC.sign(m, ec.ECDSA(hashes.SHA256()))),
    "DER": lambda m: EC.sign(m, ec.ECDSA(hashes.SHA256())),
    "EdDSA": lambda m: ED.sign(m),
    "none": lambda m: b"",
}


def hs256(key):
    return lambda m: hmac.new(key, m, hashlib.sha256).digest()


def make(header, payload, sign):
    """header and payload: dicts, or texts for what json.dumps() would not write."""
    texts = [x if isinstance(x, str) else json.dumps(x, separators=(",", ":")) for x in (header, payload)]
    text = ".".join(b64(t.encode()) for t in texts)
    sign = SIGN[sign] if isinstance(sign, str) else sign
    return text + "." + b64(sign(text.encode()))


def claims(**change):
    c = {"iss": ISSUER, "aud": AUDIENCE, "sub": "u1", "iat": NOW - 10, "exp": NOW + 600}
    c.update(change)
    return {k: v for k, v in c.items() if v is not None}


def ed(payload, **header):
    return make({"alg": "EdDSA", "kid": "ed", **header}, payload, "EdDSA")


def raw_payload(text):
    return ed('{"iss":"%s","aud":"%s","exp":%d%s}' % (ISSUER, AUDIENCE, NOW + 600, text))


PEM = RSA.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
DER = RSA.public_key().public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
ROLES = {"role": "app", "realm_access": {"role": "deep", "roles": ["a", "b"]},
         "https://x.example/db.role": "dotted", "one": ["only"], "n": 42, "yes": True,
         "empty": "", "obj": {}, "nul": "a\0b", "mixed": ["x", 7, "y"]}
GOOD_ED = ed(claims(**ROLES))
GOOD_ES = make({"alg": "ES256", "kid": "ec"}, claims(), "ES256")
GOOD_RS = make({"alg": "RS256", "kid": "rsa", "typ": "JWT"}, claims(), "RS256")


def with_signature(token, sig):
    return token.rsplit(".", 1)[0] + "." + b64(sig)


def rs_of(token):
    sig = unb64(token.rsplit(".", 1)[1])
    return sig[:32], sig[32:]


ES_R, ES_S = rs_of(GOOD_ES)
ORDER = P256_ORDER.to_bytes(32, "big")
RS = {"alg": "RS256", "kid": "rsa"}
SAME_KID = {"alg": "ES256", "kid": "rsa"}

VECTORS = [
    ("RS256", "OK", GOOD_RS),
    ("ES256", "OK", GOOD_ES),
    ("EdDSA", "OK", GOOD_ED),
    ("Ed25519, its newer name", "OK", ed(claims(), alg="Ed25519")),
    ("no kid, one key of the algorithm", "OK", make({"alg": "ES256"}, claims(), "ES256")),
    ("typ at+jwt", "OK", ed(claims(), typ="application/at+JWT")),
    ("audience in an array", "OK", ed(claims(aud=["other", AUDIENCE]))),
    ("times with fractions", "OK", ed(claims(exp=NOW + 0.5, nbf=NOW - 0.5))),
    ("expired within the leeway", "OK", ed(claims(exp=NOW - 29))),
    ("nbf within the leeway", "OK", ed(claims(nbf=NOW + 30))),
    ("iat within the leeway", "OK", ed(claims(iat=NOW + 30))),
    # the algorithm is the key's
    ("HS256 with the RSA key's PEM", "ALGORITHM",
     make({"alg": "HS256", "kid": "rsa"}, claims(), hs256(PEM))),
    ("HS256 with the RSA key's DER", "ALGORITHM",
     make({"alg": "HS256", "kid": "rsa"}, claims(), hs256(DER))),
    ("HS256 with the modulus, no kid", "ALGORITHM",
     make({"alg": "HS256"}, claims(), hs256(unb64(RSA_N)))),
    ("RS256 in name, HS256 in fact", "SIGNATURE", make(RS, claims(), hs256(PEM))),
    ("none", "ALGORITHM", make({"alg": "none"}, claims(), "none")),
    ("None", "ALGORITHM", make({"alg": "None", "kid": "rsa"}, claims(), "none")),
    ("no algorithm", "ALGORITHM", make({"kid": "ed"}, claims(), "EdDSA")),
    ("algorithm is no string", "ALGORITHM", make({"alg": ["EdDSA"], "kid": "ed"}, claims(), "EdDSA")),
    ("two algorithms", "ALGORITHM",
     make('{"alg":"EdDSA","kid":"ed","alg":"EdDSA"}', claims(), "EdDSA")),
    ("ES256 for the RSA key", "ALGORITHM", make(SAME_KID, claims(), "ES256")),
    ("RS256 for the P-256 key", "ALGORITHM", make({"alg": "RS256", "kid": "ec"}, claims(), "RS256")),
    ("EdDSA for the P-256 key", "ALGORITHM", make({"alg": "EdDSA", "kid": "ec"}, claims(), "EdDSA")),
    ("PS256", "ALGORITHM", make({"alg": "PS256", "kid": "rsa"}, claims(), "PS256")),
    ("RS256 in name, PS256 in fact", "SIGNATURE", make(RS, claims(), "PS256")),
    ("RS256 in name, SHA-1 in fact", "SIGNATURE", make(RS, claims(), "RS1")),
    ("RS384", "ALGORITHM", make({"alg": "RS384", "kid": "rsa"}, claims(), "RS256")),
    # signatures
    ("ES256, all zero", "SIGNATURE", with_signature(GOOD_ES, bytes(64))),
    ("ES256, r = 0", "SIGNATURE", with_signature(GOOD_ES, bytes(32) + ES_S)),
    ("ES256, s = 0", "SIGNATURE", with_signature(GOOD_ES, ES_R + bytes(32))),
    ("ES256, r = order", "SIGNATURE", with_signature(GOOD_ES, ORDER + ES_S)),
    ("ES256, s = order", "SIGNATURE", with_signature(GOOD_ES, ES_R + ORDER)),
    ("ES256, all ones", "SIGNATURE", with_signature(GOOD_ES, b"\xff" * 64)),
    ("ES256, DER instead of raw", "SIGNATURE", make({"alg": "ES256", "kid": "ec"}, claims(), "DER")),
    ("ES256, one byte short", "SIGNATURE", with_signature(GOOD_ES, ES_R + ES_S[:31])),
    ("ES256, one byte more", "SIGNATURE", with_signature(GOOD_ES, ES_R + ES_S + b"\0")),
    ("EdDSA, all zero", "SIGNATURE", with_signature(GOOD_ED, bytes(64))),
    ("RS256, all zero", "SIGNATURE", with_signature(GOOD_RS, bytes(256))),
    ("RS256, longer than the modulus", "SIGNATURE", with_signature(GOOD_RS, bytes(257))),
    ("no signature", "SIGNATURE", with_signature(GOOD_ED, b"")),
    ("payload of another token", "SIGNATURE",
     ".".join([GOOD_ED.split(".")[0], ed(claims(sub="root")).split(".")[1], GOOD_ED.split(".")[2]])),
    ("signature with padding", "MALFORMED", GOOD_ED + "=="),
    ("signature with unused bits set", "MALFORMED", GOOD_ED[:-1] + chr(ord(GOOD_ED[-1]) + 1)),
    # form
    ("empty", "MALFORMED", ""),
    ("no dot", "MALFORMED", "abc"),
    ("one dot", "MALFORMED", GOOD_ED.rsplit(".", 1)[0]),
    ("three dots", "MALFORMED", GOOD_ED + "."),
    ("blank at the end", "MALFORMED", GOOD_ED + " "),
    ("header is no JSON", "MALFORMED", make("{", claims(), "EdDSA")),
    ("header is an array", "MALFORMED", make("[]", claims(), "EdDSA")),
    ("header is too long", "MALFORMED", ed(claims(), x="y" * 4200)),
    ("a key in the header", "SIGNATURE",
     make({"alg": "EdDSA", "kid": "ed", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": EC_X}}, claims(),
          ed25519.Ed25519PrivateKey.from_private_bytes(b"7" * 32).sign)),
    ("critical header", "CRITICAL", ed(claims(), crit=["exp"], exp=1)),
    ("empty critical header", "CRITICAL", ed(claims(), crit=[])),
    ("typ logout+jwt", "TYPE", ed(claims(), typ="logout+jwt")),
    ("typ is a number", "TYPE", ed(claims(), typ=1)),
    ("unknown kid", "UNKNOWN_KEY", ed(claims(), kid="ed2")),
    ("kid is a number", "UNKNOWN_KEY", ed(claims(), kid=7)),
    ("kid with a NUL", "UNKNOWN_KEY", ed(claims(), kid="ed\0")),
    ("kid that is a path", "UNKNOWN_KEY", ed(claims(), kid="../../../dev/null")),
    ("no kid, two keys of the algorithm", "NO_KEY", make({"alg": "EdDSA"}, claims(), "EdDSA")),
    # claims
    ("payload is no JSON", "CLAIMS", ed("exp")),
    ("payload is an array", "CLAIMS", ed("[1]")),
    ("no exp", "CLAIMS", ed(claims(exp=None))),
    ("exp is a string", "CLAIMS", ed(claims(exp=str(NOW + 600)))),
    ("exp is true", "CLAIMS", ed(claims(exp=True))),
    ("exp is negative", "CLAIMS", ed(claims(exp=-1))),
    ("exp beyond the year 9999", "CLAIMS", ed(claims(exp=10 ** 15))),
    ("exp twice", "CLAIMS", raw_payload(',"exp":%d' % (NOW + 600))),
    ("iss twice", "CLAIMS", raw_payload(',"iss":"%s"' % ISSUER)),
    ("aud twice", "CLAIMS", raw_payload(',"aud":"%s"' % AUDIENCE)),
    ("exp twice, once escaped", "CLAIMS", raw_payload(',"\\u0065xp":9999999999')),
    ("nbf is null", "CLAIMS", raw_payload(',"nbf":null')),
    ("iat is a string", "CLAIMS", ed(claims(iat="now"))),
    ("expired", "EXPIRED", ed(claims(exp=NOW - 30))),
    ("nbf in the future", "NOT_YET", ed(claims(nbf=NOW + 31))),
    ("issued in the future", "NOT_YET", ed(claims(iat=NOW + 31))),
    ("no issuer", "ISSUER", ed(claims(iss=None))),
    ("other issuer", "ISSUER", ed(claims(iss=ISSUER + "/"))),
    ("issuer is an array", "CLAIMS", ed(claims(iss=[ISSUER]))),
    ("no audience", "AUDIENCE", ed(claims(aud=None))),
    ("other audience", "AUDIENCE", ed(claims(aud="pgsluice2"))),
    ("empty audience", "AUDIENCE", ed(claims(aud=[]))),
    ("audience is an object", "CLAIMS", ed(claims(aud={AUDIENCE: 1}))),
    ("audience with a number", "CLAIMS", ed(claims(aud=[AUDIENCE, 1]))),
    ("too long", "TOO_LONG", ed(claims(x="y" * 12300))),
    ("long", "OK", ed(claims(x="y" * 11900))),
]

JWKS = {"keys": [
    {"kty": "RSA", "kid": "rsa", "use": "sig", "n": RSA_N, "e": "AQAB"},
    {"kty": "EC", "kid": "ec", "crv": "P-256", "x": EC_X, "y": EC_Y, "alg": "ES256"},
    {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": ED_X, "key_ops": ["verify"]},
    {"kty": "OKP", "kid": "other", "crv": "Ed25519",
     "x": b64(ed25519.Ed25519PrivateKey.from_private_bytes(b"8" * 32).public_key().public_bytes(
         serialization.Encoding.Raw, serialization.PublicFormat.Raw))},
]}


def c_text(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def main():
    print("/* jwt_vectors.h -- made by jwt_vectors.py, which see. */")
    print("#ifndef TESTS_JWT_VECTORS_H\n#define TESTS_JWT_VECTORS_H\n")
    print('#include "auth/jwt.h"\n')
    print("#define VECTOR_NOW\tINT64_C(%d)" % NOW)
    print("#define VECTOR_ISSUER\t%s" % c_text(ISSUER))
    print("#define VECTOR_AUDIENCE\t%s" % c_text(AUDIENCE))
    print("#define VECTOR_ED_D\t%s" % c_text(ED_D))
    for name, text in (("RFC7515_A2", RFC_A2), ("RFC7515_A3", RFC_A3), ("RFC8037_A4", RFC_8037),
                       ("CLAIMS", GOOD_ED), ("JWKS", json.dumps(JWKS, separators=(",", ":")))):
        print("\nstatic const char VECTOR_%s[] =\n    %s;" % (name, c_text(text)))
    print("\nstatic const struct vector {\n\tconst char *name;\n\tenum jwt_fault want;\n\tconst char *token;")
    print("} vectors[] = {")
    for name, want, token in VECTORS:
        print("\t{ %s, JWT_%s,\n\t    %s }," % (c_text(name), want, c_text(token)))
    print("};\n\n#endif")


main()
