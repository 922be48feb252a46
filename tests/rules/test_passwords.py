from django.contrib.auth.hashers import make_password


def test_they_are_hashed_with_argon2id_as_owasp_recommends() -> None:
    assert make_password("correct horse").startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
